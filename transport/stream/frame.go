package stream

import (
	"encoding/binary"
	"errors"
)

const (
	// MaxPacket is the longest packet in bytes that a stream carries: as long as
	// the longest datagram.
	MaxPacket = 2048
	// maxMessage is the longest WebSocket message that is sent or taken, in
	// bytes. Packets that wait together are packed into it.
	maxMessage = 16 << 10
	// lengthLen is the length field before each packet.
	lengthLen = 2
)

// errFrame ends a stream: its two ends do not speak of the same thing, and there
// is no place from which to go on.
var errFrame = errors.New("the other end sent a message that holds no whole packets")

// appendPacket appends a packet behind its length.
func appendPacket(message, pkt []byte) []byte {
	return append(binary.BigEndian.AppendUint16(message, uint16(len(pkt))), pkt...)
}

// nextPacket returns the first packet of a message and what follows it. An empty
// packet, one that is too long and one that is cut are errors.
func nextPacket(message []byte) (pkt, rest []byte, err error) {
	if len(message) < lengthLen {
		return nil, nil, errFrame
	}
	n := int(binary.BigEndian.Uint16(message))
	message = message[lengthLen:]
	if n == 0 || n > MaxPacket || n > len(message) {
		return nil, nil, errFrame
	}
	return message[:n:n], message[n:], nil
}
