package turn

import "encoding/binary"

// Channel numbers of RFC 8656, section 12. The server accepts only the first
// 256, so that the channels of an allocation are bounded; the client, which
// reuses numbers, needs no more.
const (
	firstChannel = 0x4000
	lastChannel  = firstChannel + maxChannels - 1
	maxChannels  = 256

	channelHeaderLen = 4
)

// channelData returns the datagram that carries data over a channel (RFC 8656,
// section 12.4). Over UDP it needs no padding.
func channelData(number uint16, data []byte) []byte {
	b := make([]byte, channelHeaderLen, channelHeaderLen+len(data))
	binary.BigEndian.PutUint16(b, number)
	binary.BigEndian.PutUint16(b[2:], uint16(len(data)))
	return append(b, data...)
}

// parseChannelData reads a ChannelData message. Up to 3 bytes of padding may
// follow the data. ok is false for anything else. data aliases pkt.
func parseChannelData(pkt []byte) (number uint16, data []byte, ok bool) {
	if len(pkt) < channelHeaderLen {
		return 0, nil, false
	}
	number = binary.BigEndian.Uint16(pkt)
	n := int(binary.BigEndian.Uint16(pkt[2:]))
	data = pkt[channelHeaderLen:]
	if !isChannel(number) || n > len(data) || len(data)-n > 3 {
		return 0, nil, false
	}
	return number, data[:n], true
}

// isChannel says whether the client uses a number and the server accepts it.
func isChannel(number uint16) bool { return number >= firstChannel && number <= lastChannel }
