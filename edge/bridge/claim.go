package bridge

import (
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

// Judged reports whether the frame may be one that Claim says more of than Plain. It is
// asked of each frame that comes in, and is false for TCP and most of UDP.
func (f *Parsed) Judged() bool {
	switch f.etherType {
	case protocol.EtherTypeIPv4:
		return f.isDHCP()
	case protocol.EtherTypeIPv6:
		switch f.proto {
		case protoTCP, noProto:
			return false
		case protoUDP:
			return f.hasPort(portClientV6, portServerV6)
		}
		return true
	}
	return f.etherType == etherTypeARP
}

// Claim returns what the frame says about addresses, judged by its source address. It
// never fails: what a host would not believe is Plain.
func (f *Parsed) Claim() (c Claim) {
	switch f.etherType {
	case etherTypeARP:
		c.readARP(f.Payload(), f.Src())
	case protocol.EtherTypeIPv4:
		c.readDHCP(f)
	case protocol.EtherTypeIPv6:
		c.readIPv6(f)
	}
	return c
}
