package offload

import (
	"encoding/binary"
	"errors"
)

// Numbers of the headers that are walked.
const (
	etherLen   = 14
	tagLen     = 4
	typeIPv4   = 0x0800 // IEEE 802 EtherTypes
	typeIPv6   = 0x86dd
	typeTag    = 0x8100 // 802.1Q
	typeSTag   = 0x88a8 // 802.1ad
	ipv4Len    = 20     // without options (RFC 791)
	ipv6Len    = 40     // without extension headers (RFC 8200)
	tcpLen     = 20     // without options (RFC 9293)
	udpLen     = 8      // RFC 768
	protoTCP   = 6      // IANA protocol numbers
	protoUDP   = 17
	extHop     = 0
	extRouting = 43
	extDest    = 60
)

// Offsets within the headers.
const (
	ipv4Total    = 2
	ipv4ID       = 4
	ipv4Fragment = 6
	ipv4Checksum = 10
	ipv6Payload  = 4
	tcpSeq       = 4
	tcpFlags     = 13
	tcpChecksum  = 16
	udpLength    = 4
	udpChecksum  = 6
)

// Bits of the IPv4 fragment word.
const (
	dontFragment = 0x4000
	fragmentBits = 0xbfff // reserved, more fragments and the offset: 0 in a whole datagram
)

// Bits of the TCP flags byte.
const (
	tcpFIN = 1 << 0
	tcpPSH = 1 << 3
	tcpACK = 1 << 4
	tcpECE = 1 << 6
	tcpCWR = 1 << 7
)

// maxHeaders bounds the headers in front of the payload. Ethernet with two tags,
// IPv4 and TCP, both with all their options, have 142; a frame with longer
// headers passes whole.
const maxHeaders = 256

var (
	errNotIP      = errors.New("offload: not an IPv4 or IPv6 frame")
	errTruncated  = errors.New("offload: the frame is shorter than its headers say")
	errFragment   = errors.New("offload: a fragment")
	errTransport  = errors.New("offload: neither TCP nor UDP behind the IP header")
	errHeader     = errors.New("offload: a header length or version that cannot be")
	errUDPLength  = errors.New("offload: the UDP and the IP length differ")
	errHeadersLen = errors.New("offload: more than 256 bytes of headers")
)

// layout says where the parts of a TCP or UDP frame are, in bytes from the start
// of the Ethernet header.
type layout struct {
	ip        int // the IP header
	transport int // the TCP or UDP header
	payload   int // offset of the payload of TCP or UDP; at most maxHeaders
	end       int // the end of the IP datagram; the rest of the frame is padding
	v6        bool
	protocol  uint8 // protoTCP or protoUDP
}

// parse finds the layout of an Ethernet frame with any number of tags. It fails
// unless the frame is a whole TCP or UDP datagram: others can be neither cut nor
// joined.
func parse(frame []byte) (layout, error) {
	l := layout{ip: etherLen}
	for {
		if len(frame) < l.ip+ipv4Len {
			return l, errTruncated
		}
		switch binary.BigEndian.Uint16(frame[l.ip-2:]) {
		case typeTag, typeSTag:
			l.ip += tagLen
		case typeIPv4:
			return l.ipv4(frame)
		case typeIPv6:
			return l.ipv6(frame)
		default:
			return l, errNotIP
		}
	}
}

// ipv4 goes on behind the EtherType of IPv4; 20 bytes are there.
func (l layout) ipv4(frame []byte) (layout, error) {
	h := frame[l.ip : l.ip+ipv4Len]
	length := int(h[0]&15) * 4
	if h[0]>>4 != 4 || length < ipv4Len {
		return l, errHeader
	}
	l.transport = l.ip + length
	l.end = l.ip + int(binary.BigEndian.Uint16(h[ipv4Total:]))
	if l.end > len(frame) {
		return l, errTruncated
	}
	if binary.BigEndian.Uint16(h[ipv4Fragment:])&fragmentBits != 0 {
		return l, errFragment
	}
	l.protocol = h[9]
	return l.finish(frame)
}

// ipv6 continues after the EtherType of IPv6 and walks the extension headers
// that every segment of a super-frame repeats. It refuses a jumbogram, whose
// payload length is 0.
func (l layout) ipv6(frame []byte) (layout, error) {
	if len(frame) < l.ip+ipv6Len {
		return l, errTruncated
	}
	h := frame[l.ip : l.ip+ipv6Len]
	if h[0]>>4 != 6 {
		return l, errHeader
	}
	l.v6 = true
	l.transport = l.ip + ipv6Len
	l.end = l.transport + int(binary.BigEndian.Uint16(h[ipv6Payload:]))
	if l.end > len(frame) {
		return l, errTruncated
	}
	l.protocol = h[6]
	for l.protocol == extHop || l.protocol == extRouting || l.protocol == extDest {
		if l.transport+8 > l.end {
			return l, errTruncated
		}
		l.protocol = frame[l.transport]
		l.transport += (int(frame[l.transport+1]) + 1) * 8
	}
	return l.finish(frame)
}

// finish reads the transport header.
func (l layout) finish(frame []byte) (layout, error) {
	switch l.protocol {
	case protoTCP:
		if l.transport+tcpLen > l.end {
			return l, errTruncated
		}
		length := int(frame[l.transport+12]>>4) * 4
		if length < tcpLen {
			return l, errHeader
		}
		l.payload = l.transport + length
		if l.payload > l.end {
			return l, errTruncated
		}
	case protoUDP:
		l.payload = l.transport + udpLen
		if l.payload > l.end {
			return l, errTruncated
		}
		if int(binary.BigEndian.Uint16(frame[l.transport+udpLength:])) != l.end-l.transport {
			return l, errUDPLength
		}
	default:
		return l, errTransport
	}
	if l.payload > maxHeaders {
		return l, errHeadersLen
	}
	return l, nil
}

// checksumOffset is where the transport checksum lies behind the start of the
// transport header.
func (l *layout) checksumOffset() int {
	if l.protocol == protoTCP {
		return tcpChecksum
	}
	return udpChecksum
}

// partialHere reports whether h asks for the checksum of this very transport
// header.
func (l *layout) partialHere(h Header) bool {
	return h.Flags&FlagNeedsCsum != 0 &&
		int(h.CsumStart) == l.transport && int(h.CsumOffset) == l.checksumOffset()
}

// partialBase is the partial checksum of frame without the length in it. The
// partial checksum of a segment is this plus the segment's length, which needs
// no look at the addresses and is right even with a routing header.
func (l *layout) partialBase(frame []byte) uint32 {
	field := binary.BigEndian.Uint16(frame[l.transport+l.checksumOffset():])
	return uint32(field) + negative(uint16(l.end-l.transport))
}

// headerSum is the sum of an IPv4 header without its total length, identification
// and checksum, all that differs between the segments of a super-frame.
func (l *layout) headerSum(frame []byte) uint32 {
	h := frame[l.ip:l.transport]
	return uint32(binary.BigEndian.Uint16(h)) + uint32(sum(h[ipv4Fragment:ipv4Checksum])) + uint32(sum(h[ipv4Checksum+2:]))
}
