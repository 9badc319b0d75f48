//go:build !linux

package stack

import (
	"net"
	"net/netip"
)

// readLinks finds the device: what is stacked on it, is told by Linux alone.
func readLinks(device int) links {
	l := links{names: make(map[int]string), roots: map[int]bool{device: true}, tunnels: make(map[string]bool)}
	l.inner = func() map[string]bool { return nil }
	all, _ := net.Interfaces()
	for _, i := range all {
		l.tunnels[i.Name] = namedTunnel(i.Name)
	}
	if ifi, err := net.InterfaceByIndex(device); err == nil {
		l.names[device] = ifi.Name
	}
	return l
}

// egress returns Outside: routes are asked for on Linux alone.
func (l *links) egress(netip.Addr, source) Egress { return Outside }

// routed reports whether the system has a route to an address: without one no socket can be
// connected to it. Nothing is sent.
func (s *Stack) routed(to netip.Addr) bool {
	c, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, 9)))
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}
