package stream

import (
	"encoding/binary"
	"errors"
)

const (
	// MaxPacket is the longest packet in bytes that a stream carries: as long as
	// the longest datagram.
	MaxPacket = 2048
	// maxMessage is the longest WebSocket message in bytes that is sent or
	// accepted. Packets that wait at the same time are packed into one.
	maxMessage = 16 << 10
	// lengthLen is the length field before each packet.
	lengthLen = 2
)

// errFrame ends a stream: its two ends disagree about the framing, and there is
// no place to start again from.
var errFrame = errors.New("the other end sent a message that holds no whole packets")

// appendPacket appends a packet behind its length.
func appendPacket(message, pkt []byte) []byte {
	return append(binary.BigEndian.AppendUint16(message, uint16(len(pkt))), pkt...)
}

// nextPacket returns the first packet of a message and the rest of the message.
// It fails for a packet that is empty, too long or cut.
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
