//go:build linux

package lab

import (
	"errors"
	"net"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// Advertise sends a router advertisement (RFC 4861, section 4.2) by a link of the thread's
// namespace to all nodes there. body is what follows the checksum, from the hop limit on.
func Advertise(link string, body []byte) error {
	conn, err := icmp.ListenPacket("ip6:ipv6-icmp", "::")
	if err != nil {
		return err
	}
	defer conn.Close()
	m := icmp.Message{Type: ipv6.ICMPTypeRouterAdvertisement, Body: &icmp.RawBody{Data: body}}
	packet, err := m.Marshal(nil) // the kernel adds the checksum
	if err != nil {
		return err
	}
	by, err := net.InterfaceByName(link)
	if err != nil {
		return err
	}
	p := conn.IPv6PacketConn()
	if err := errors.Join(p.SetMulticastHopLimit(255), p.SetMulticastInterface(by)); err != nil {
		return err
	}
	_, err = conn.WriteTo(packet, &net.IPAddr{IP: net.IPv6linklocalallnodes, Zone: link})
	return err
}
