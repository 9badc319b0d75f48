package offload

import (
	"encoding/binary"
	"math/bits"
)

// Fields of a SYN, beside the layout.
const (
	tcpSYN = 1 << 1 // of the flags byte

	// TCP options (RFC 9293, section 3.2).
	optionEnd     = 0
	optionNothing = 1
	optionMSS     = 2
	optionMSSLen  = 4

	// leastMSS is the MSS of a host that announces none (RFC 9293, section
	// 3.7.1): LowerMSS announces no less.
	leastMSS = 536
)

// IsSYN reports whether a frame is a TCP SYN or SYN-ACK, by a few of its bytes:
// cheap enough for every frame. It may also be true for a malformed frame.
func IsSYN(frame []byte) bool {
	for len(frame) >= etherLen+ipv4Len+tcpLen {
		h := (*[etherLen + ipv4Len]byte)(frame)
		var flags int
		switch binary.BigEndian.Uint16(h[etherLen-2:]) {
		case typeIPv4:
			if h[etherLen+9] != protoTCP {
				return false
			}
			flags = etherLen + int(h[etherLen]&15)*4 + tcpFlags
		case typeIPv6:
			if next := h[etherLen+6]; next != protoTCP {
				// Further extension headers are too rare to be followed here.
				return next == extHop || next == extRouting || next == extDest
			}
			flags = etherLen + ipv6Len + tcpFlags
		case typeTag, typeSTag:
			frame = frame[tagLen:] // the bytes after a tag are where they would be after the addresses
			continue
		default:
			return false
		}
		return flags < len(frame) && frame[flags]&tcpSYN != 0
	}
	return false
}

// LowerMSS lowers the maximum segment size that a TCP SYN or SYN-ACK announces
// so that full segments fit into IP packets of the given bytes, and reports
// whether it did: routers do this where no ICMP would tell the hosts. It never
// raises the value, never lowers it below 536, and adds no option. It changes no
// other frame. h is the frame's: a partial checksum does not cover the option, a
// complete one is updated (RFC 1624), so that a wrong one stays wrong.
func LowerMSS(frame []byte, h Header, packet int) bool {
	l, err := parse(frame)
	if err != nil || l.protocol != protoTCP || frame[l.transport+tcpFlags]&tcpSYN == 0 {
		return false
	}
	most := packet - ipv4Len - tcpLen
	if l.v6 {
		most = packet - ipv6Len - tcpLen
	}
	most = max(most, leastMSS)
	lowered := false
	for at := l.transport + tcpLen; at < l.payload; {
		kind := frame[at]
		if kind == optionEnd {
			break
		}
		if kind == optionNothing {
			at++
			continue
		}
		if at+1 >= l.payload {
			break
		}
		length := int(frame[at+1])
		if length < 2 || at+length > l.payload {
			break
		}
		if kind == optionMSS && length == optionMSSLen {
			lowered = l.lower(frame, at+2, most, h) || lowered
		}
		at += length
	}
	return lowered
}

// lower writes the 16-bit number at an offset of a TCP header's options, unless
// it is as low already.
func (l *layout) lower(frame []byte, at, most int, h Header) bool {
	value := frame[at : at+2]
	before := binary.BigEndian.Uint16(value)
	if int(before) <= most {
		return false
	}
	after := uint16(most)
	binary.BigEndian.PutUint16(value, after)
	if h.Flags&FlagNeedsCsum != 0 {
		return true
	}
	if (at-l.transport)%2 == 1 { // it lies across two words of the sum
		before, after = bits.ReverseBytes16(before), bits.ReverseBytes16(after)
	}
	field := frame[l.transport+tcpChecksum : l.transport+tcpChecksum+2]
	check := binary.BigEndian.Uint16(field)
	binary.BigEndian.PutUint16(field, ^fold(uint32(^check)+negative(before)+uint32(after)))
	return true
}
