package protocol

import "encoding/binary"

// IP protocol numbers (IANA registry) that the search for a checksum knows.
const (
	protoHopByHop    = 0
	protoTCP         = 6
	protoUDP         = 17
	protoRouting     = 43
	protoDestOptions = 60
)

// maxExtensions bounds the IPv6 extension headers that are walked.
const maxExtensions = 8

// ChecksumField returns where the checksum field of the frame's TCP or UDP
// header is: start is the offset of that header from byte 0 of the frame, and
// offset the offset of the field from start, both in bytes. ok is false if the
// frame is not a whole, unfragmented TCP segment or UDP datagram over IPv4 or
// IPv6, or if the header is not all there. The frame has to be valid.
func (f Frame) ChecksumField() (start, offset int, ok bool) {
	ip := f.Payload()
	var proto byte
	var n int
	switch f.EtherType() {
	case EtherTypeIPv4:
		proto, n, ok = ipv4Payload(ip)
	case EtherTypeIPv6:
		proto, n, ok = ipv6Payload(ip)
	}
	if !ok {
		return 0, 0, false
	}
	start = len(f) - len(ip) + n
	switch {
	case proto == protoTCP && len(ip)-n >= 20:
		return start, 16, true
	case proto == protoUDP && len(ip)-n >= 8:
		return start, 6, true
	}
	return 0, 0, false
}

// ipv4Payload returns the protocol and the header size of an IPv4 packet that
// is no fragment (RFC 791).
func ipv4Payload(ip []byte) (proto byte, n int, ok bool) {
	if len(ip) < 20 || ip[0]>>4 != 4 {
		return 0, 0, false
	}
	n = int(ip[0]&15) * 4
	fragmented := binary.BigEndian.Uint16(ip[6:])&0x3fff != 0 // more, or an offset
	if n < 20 || n > len(ip) || fragmented {
		return 0, 0, false
	}
	return ip[9], n, true
}

// ipv6Payload walks the extension headers of an IPv6 packet (RFC 8200 section
// 4). A fragment header is not walked over, so fragments have no field.
func ipv6Payload(ip []byte) (proto byte, n int, ok bool) {
	if len(ip) < 40 || ip[0]>>4 != 6 {
		return 0, 0, false
	}
	proto, n = ip[6], 40
	for range maxExtensions {
		switch proto {
		case protoHopByHop, protoRouting, protoDestOptions:
		default:
			return proto, n, true
		}
		if len(ip)-n < 8 {
			return 0, 0, false
		}
		next, size := ip[n], 8*(int(ip[n+1])+1)
		if size > len(ip)-n {
			return 0, 0, false
		}
		proto, n = next, n+size
	}
	return 0, 0, false
}
