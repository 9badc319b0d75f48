package offload

import "encoding/binary"

// TOS returns the octet with the DSCP and the ECN field of an IP frame with any number of
// tags: the TOS field of IPv4, the traffic class of IPv6 (RFC 2474, RFC 3168). ok is false
// for a frame of another protocol, which has none.
func TOS(frame []byte) (tos uint8, ok bool) {
	ip := ipHeader(frame)
	switch {
	case ip == nil:
		return 0, false
	case ip[0]>>4 == 4:
		return ip[1], true
	}
	return ip[0]<<4 | ip[1]>>4, true
}

// SetECN gives an IP frame another ECN field, of two bits (RFC 3168, section 5). The
// checksum of an IPv4 header is updated (RFC 1624), so that a wrong one stays wrong;
// those of TCP and UDP do not cover the field. It does not change other frames.
func SetECN(frame []byte, ecn uint8) {
	ip := ipHeader(frame)
	switch {
	case ip == nil:
	case ip[0]>>4 == 4:
		before := binary.BigEndian.Uint16(ip)
		after := before&^3 | uint16(ecn&3)
		ip[1] = uint8(after)
		check := binary.BigEndian.Uint16(ip[ipv4Checksum:])
		binary.BigEndian.PutUint16(ip[ipv4Checksum:], ^fold(uint32(^check)+negative(before)+uint32(after)))
	default:
		ip[1] = ip[1]&^(3<<4) | ecn&3<<4
	}
}

// ipHeader returns a frame from its IP header on, or nil if it has none that is as long as
// one is and says the version of its EtherType.
func ipHeader(frame []byte) []byte {
	for len(frame) >= etherLen+ipv4Len {
		ip := frame[etherLen:]
		switch binary.BigEndian.Uint16(frame[etherLen-2:]) {
		case typeTag, typeSTag:
			frame = frame[tagLen:] // the bytes after a tag are where they would be after the addresses
			continue
		case typeIPv4:
			if ip[0]>>4 == 4 {
				return ip
			}
		case typeIPv6:
			if ip[0]>>4 == 6 && len(ip) >= ipv6Len {
				return ip
			}
		}
		return nil
	}
	return nil
}
