package bridge

import (
	"net/netip"

	"hedgerow/protocol"
)

// isDHCP reports whether the frame is DHCP for IPv4, by its ports.
func (f *Parsed) isDHCP() bool {
	return f.proto == protoUDP && f.etherType == protocol.EtherTypeIPv4 && f.hasPort(portServer, portClient)
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
func (c *Claim) readDHCP(f *Parsed) {
	_, b, more, ok := f.IPv4()
	if !ok || !f.isDHCP() || len(b) < udpLen {
		return
	}
	switch b = b[udpLen:]; {
	case len(b) > dhcpOp && b[dhcpOp] == dhcpReply:
		c.Kind = ServesDHCP
	case len(b) < dhcpFixed:
		if more {
			c.Kind = Hidden
		}
	case b[dhcpOp] == dhcpRequest:
		c.claim(netip.AddrFrom4([4]byte(b[dhcpClient:])))
		if b[dhcpLen] == protocol.MACLen {
			c.names(b[dhcpMAC:dhcpMAC+protocol.MACLen], f.Src())
		}
	}
}
