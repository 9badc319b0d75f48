package supernode

import (
	"errors"
	"net"
	"net/netip"

	"hedgerow/nat/turn"
)

// TURN says where a supernode is a TURN server, too (RFC 8656): edges that find no
// path between themselves reach each other over its relayed transport addresses.
// Only edges that are registered here get credentials, by their ACK, and they reach
// no other addresses than those of the edges of their community.
type TURN struct {
	// Conn is a UDP socket for IPv4, apart from Config.Conn. Run closes it.
	Conn net.PacketConn
	// Address is the IPv4 address of this host that edges are told, for the
	// server and for relayed transport addresses. The port is that of Conn.
	Address netip.Addr
	// Bind is the local IPv4 address of relayed transport addresses. Default: all.
	Bind netip.Addr
	// Ports are the first and the last port of relayed transport addresses. Default:
	// 49152 to 65535.
	Ports [2]uint16
	// Limits bound what edges may use. Default: those of turn.ServerLimits.
	Limits turn.ServerLimits
	// Listen opens the socket of a relayed transport address. Default: net.ListenUDP.
	Listen func(local netip.AddrPort) (net.PacketConn, error)
}

// at returns the address that edges are told.
func (t *TURN) at() netip.AddrPort {
	udp, ok := t.Conn.LocalAddr().(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(t.Address, udp.AddrPort().Port())
}

func (t *TURN) validate() error {
	switch {
	case t == nil:
		return nil
	case t.Conn == nil:
		return errors.New("no socket for the TURN server")
	case !t.at().IsValid() || !t.Address.Is4() || t.Address.IsUnspecified():
		return errors.New("no IPv4 address and UDP port that edges may be told for the TURN server")
	case t.Bind.IsValid() && !t.Bind.Is4():
		return errors.New("the relays of the TURN server have no IPv4 address")
	case t.Ports[0] > t.Ports[1] || t.Ports[0] == 0 && t.Ports[1] != 0:
		return errors.New("the ports of TURN relays are not a range")
	}
	return nil
}
