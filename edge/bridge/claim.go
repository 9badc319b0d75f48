package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// Kind is what a frame does that a receiver judges.
type Kind uint8

const (
	// Plain frames say nothing about addresses.
	Plain Kind = iota
	// Claims are ARP, IPv6 neighbour discovery and DHCP clients: they say which
	// hardware address has which IP address.
	Claims
	// ServesDHCP: a DHCP server answers, for IPv4 or IPv6.
	ServesDHCP
	// Advertises: a router advertises itself or redirects (RFC 4861).
	Advertises
	// Hidden frames may be any of these, in a form that only somebody uses who wants
	// to get past a guard: neighbour discovery or DHCP in fragments, or behind more
	// extension headers than fit (RFC 6980, RFC 7113).
	Hidden
)

// maxClaimed is how many IP addresses one frame can claim.
const maxClaimed = 2

// Claim is what a frame says about addresses.
type Claim struct {
	Kind    Kind
	Foreign bool // it names another hardware address than its source's as the claimer's
	ips     [maxClaimed]netip.Addr
	count   uint8
}

// IPs returns the addresses that the frame says its source has.
func (c *Claim) IPs() []netip.Addr { return c.ips[:c.count] }

// claim adds an address, unless it is nobody's: none, or a group.
func (c *Claim) claim(a netip.Addr) {
	if c.Kind = Claims; a.IsUnspecified() || a.IsMulticast() || int(c.count) == maxClaimed {
		return
	}
	c.ips[c.count] = a
	c.count++
}

// names notes a hardware address that the frame gives for its source.
func (c *Claim) names(mac []byte, src protocol.MAC) {
	c.Foreign = c.Foreign || protocol.MAC(mac) != src
}

// Protocols of IP (IANA registry), and the ports by which DHCP is known.
const (
	protoTCP    = 6
	protoUDP    = 17
	protoICMPv6 = 58

	ipv4Len = 20
	ipv6Len = 40
	udpLen  = 8

	portServer   = 67 // RFC 2131, section 4.1
	portClient   = 68
	portClientV6 = 546 // RFC 8415, section 7.2
	portServerV6 = 547
)

// Judged reports whether a valid frame may be one that Read says more of than Plain:
// it is asked for each frame, and TCP and most of UDP take it a few comparisons.
func Judged(f protocol.Frame) bool {
	const least = protocol.EthernetLen + ipv4Len
	for len(f) >= least {
		h := (*[least]byte)(f)
		switch binary.BigEndian.Uint16(h[12:]) {
		case protocol.EtherTypeIPv4:
			if h[protocol.EthernetLen+9] != protoUDP {
				return false
			}
			return hasPort(f, protocol.EthernetLen+int(h[protocol.EthernetLen]&15)*4, portServer, portClient)
		case protocol.EtherTypeIPv6:
			switch h[protocol.EthernetLen+6] {
			case protoTCP:
				return false
			case protoUDP:
				return hasPort(f, protocol.EthernetLen+ipv6Len, portClientV6, portServerV6)
			}
			return true
		case protocol.EtherTypeVLAN, protocol.EtherTypeQinQ:
			f = f[protocol.VLANLen:] // what is behind a tag is where it would be behind the addresses
			continue
		case etherTypeARP:
			return true
		}
		return false
	}
	return false
}

// hasPort reports whether one of the ports at an offset is one of two.
func hasPort(f []byte, at int, one, other uint16) bool {
	if at+4 > len(f) {
		return false
	}
	from, to := binary.BigEndian.Uint16(f[at:]), binary.BigEndian.Uint16(f[at+2:])
	return from == one || from == other || to == one || to == other
}

// Read returns what a valid frame says about addresses, judged by its source address.
// It never fails: what a host would not believe is Plain.
func Read(f protocol.Frame) (c Claim) {
	p, src := f.Payload(), f.Src()
	switch f.EtherType() {
	case etherTypeARP:
		c.readARP(p, src)
	case protocol.EtherTypeIPv4:
		if u, ok := datagramOf(p); ok && u.isDHCP() {
			c.readDHCP(u, src)
		}
	case protocol.EtherTypeIPv6:
		c.readIPv6(p, src)
	}
	return c
}
