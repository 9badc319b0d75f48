package bridge

import (
	"encoding/binary"
	"net/netip"

	"hedgerow/protocol"
)

// datagram is a UDP datagram in IPv4, or the beginning of one.
type datagram struct {
	from, to uint16
	body     []byte
	more     bool // the rest is in other fragments
}

// datagram reads an IPv4 packet. ok is false if it is no UDP, or not its beginning.
func (f *Parsed) datagram() (u datagram, ok bool) {
	proto, body, more, ok := f.IPv4()
	if !ok || proto != protoUDP || len(body) < udpLen {
		return u, false
	}
	return datagram{from: binary.BigEndian.Uint16(body), to: binary.BigEndian.Uint16(body[2:]), body: body[udpLen:], more: more}, true
}

func (u *datagram) isDHCP() bool {
	return u.from == portServer || u.from == portClient || u.to == portServer || u.to == portClient
}

// Offsets in a DHCP message (RFC 2131, section 2).
const (
	dhcpOp     = 0
	dhcpLen    = 2 // of the hardware address
	dhcpClient = 12
	dhcpMAC    = 28
	dhcpFixed  = dhcpMAC + 16

	dhcpRequest = 1
	dhcpReply   = 2
)

// readDHCP reads DHCP for IPv4: a reply is a server's, and a request says whose address
// it is about. One in fragments whose first does not say which is Hidden.
func (c *Claim) readDHCP(u datagram, src protocol.MAC) {
	b := u.body
	switch {
	case len(b) > dhcpOp && b[dhcpOp] == dhcpReply:
		c.Kind = ServesDHCP
	case len(b) < dhcpFixed:
		if u.more {
			c.Kind = Hidden
		}
	case b[dhcpOp] == dhcpRequest:
		c.claim(netip.AddrFrom4([4]byte(b[dhcpClient:])))
		if b[dhcpLen] == protocol.MACLen {
			c.names(b[dhcpMAC:dhcpMAC+protocol.MACLen], src)
		}
	}
}
