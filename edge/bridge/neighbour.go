package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// maxHeaders is how many extension headers of one packet are followed. Hosts send two
// at most with what is judged here.
const maxHeaders = 8

// Extension headers of IPv6 (RFC 8200, section 4; RFC 4302), by their numbers.
const (
	extHopByHop    = 0
	extRouting     = 43
	extFragment    = 44
	extAH          = 51
	extDestination = 60
	extMobility    = 135
	extHIP         = 139
	extShim6       = 140
)

// Messages of ICMPv6 (RFC 4861, section 4), and the options that hold the hardware
// address of a sender and of a target.
const (
	icmpRouterSolicitation    = 133
	icmpRouterAdvertisement   = 134
	icmpNeighborSolicitation  = 135
	icmpNeighborAdvertisement = 136
	icmpRedirect              = 137

	optSource = 1
	optTarget = 2
)

// dhcpRelayReply is the message of DHCPv6 that servers send to relays (RFC 8415,
// section 7.3).
const dhcpRelayReply = 13

// readIPv6 reads an IPv6 packet. What is behind more headers than are followed, or in
// another fragment, may be what is judged here. A whole packet without what its headers
// say is believed by nobody.
func (c *Claim) readIPv6(f *Parsed) {
	proto, body, e := f.IPv6()
	switch {
	case e == Endless || e == First && body == nil:
		c.Kind = Hidden
	case body == nil:
	case proto == protoICMPv6:
		c.readICMPv6(netip.AddrFrom16([16]byte(f.Payload()[8:])), body, e == First, f.Src())
	case proto == protoUDP:
		c.readDHCPv6(body, e == First)
	}
}

// hide notes that the rest of a message is not there. In a fragment it may be in another
// one.
func (c *Claim) hide(cut bool) {
	if cut {
		c.Kind = Hidden
	}
}

// readICMPv6 reads a message. cut says that its rest is in other fragments.
func (c *Claim) readICMPv6(from netip.Addr, b []byte, cut bool, src protocol.MAC) {
	if len(b) == 0 {
		c.hide(cut)
		return
	}
	if b[0] < icmpRouterSolicitation || b[0] > icmpRedirect {
		return
	}
	switch {
	case cut: // hosts take none of these in fragments (RFC 6980, section 5)
		c.Kind = Hidden
	case b[0] == icmpRouterAdvertisement || b[0] == icmpRedirect:
		c.Kind = Advertises
	case b[0] == icmpRouterSolicitation && len(b) >= 8:
		c.claim(from)
		c.readOptions(b[8:], optSource, src)
	case len(b) < 24:
	case b[0] == icmpNeighborSolicitation:
		c.claim(from)
		if from.IsUnspecified() { // its sender is about to take the target (RFC 4862, section 5.4)
			c.claim(netip.AddrFrom16([16]byte(b[8:])))
		}
		c.readOptions(b[24:], optSource, src)
	case b[0] == icmpNeighborAdvertisement:
		c.claim(from)
		c.claim(netip.AddrFrom16([16]byte(b[8:])))
		c.readOptions(b[24:], optTarget, src)
	}
}

// readOptions looks at the hardware addresses in options of one type. An option without
// a length ends them: hosts drop such a message.
func (c *Claim) readOptions(b []byte, want byte, src protocol.MAC) {
	for len(b) >= 8 && b[1] != 0 {
		size := int(b[1]) * 8
		if b[0] == want {
			c.names(b[2:8], src)
		}
		b = b[min(size, len(b)):]
	}
}

// readDHCPv6 reads a UDP datagram in IPv6. What goes to clients is a server's, and so
// is what servers tell relays; clients name themselves by other things than addresses.
func (c *Claim) readDHCPv6(b []byte, cut bool) {
	switch {
	case len(b) < 4:
		c.hide(cut)
	case binary.BigEndian.Uint16(b[2:]) == portClientV6:
		c.Kind = ServesDHCP
	case binary.BigEndian.Uint16(b[2:]) != portServerV6:
	case len(b) <= udpLen:
		c.hide(cut)
	case b[udpLen] == dhcpRelayReply:
		c.Kind = ServesDHCP
	}
}

// ByMAC returns the hardware address that an IPv6 address was made of (RFC 4291,
// appendix A), and whether it is such a one.
func ByMAC(a netip.Addr) (mac protocol.MAC, ok bool) {
	if !a.Is6() {
		return mac, false
	}
	b := a.As16()
	if b[11] != 0xff || b[12] != 0xfe {
		return mac, false
	}
	return protocol.MAC{b[8] ^ 2, b[9], b[10], b[13], b[14], b[15]}, true
}
