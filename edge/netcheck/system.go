package netcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"

	"hedgerow/internal/interfaces"
)

// System returns the sockets and addresses of this machine. The system names the
// interfaces.
func System() Host {
	return Host{
		Open:      func(network string) (Conn, error) { return listen(network, nil) },
		OpenWhole: openWhole,
		Lookup: func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		},
		Source: source,
		Rand:   rand.Reader,
	}
}

// udpConn is a socket of the system.
type udpConn struct{ *net.UDPConn }

// listen opens a socket, prepared by control unless that is nil.
func listen(network string, control func(network, address string, c syscall.RawConn) error) (Conn, error) {
	conn, err := (&net.ListenConfig{Control: control}).ListenPacket(context.Background(), network, ":0")
	if err != nil {
		return nil, fmt.Errorf("cannot open a UDP socket: %w", err)
	}
	return udpConn{conn.(*net.UDPConn)}, nil
}

// ReadFrom waits for a datagram. It ignores errors about datagrams that were
// sent before.
func (c udpConn) ReadFrom(b []byte) (n int, from netip.AddrPort, err error) {
	for {
		n, from, err = c.ReadFromUDPAddrPort(b)
		if err == nil || errors.Is(err, net.ErrClosed) {
			return n, netip.AddrPortFrom(from.Addr().Unmap(), from.Port()), err
		}
	}
}

// WriteTo sends a datagram.
func (c udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := c.WriteToUDPAddrPort(b, to)
	return err
}

// Port returns the local port.
func (c udpConn) Port() uint16 { return uint16(c.LocalAddr().(*net.UDPAddr).Port) }

// source connects a UDP socket, which sends nothing, and looks which address the
// system has chosen.
func source(to netip.AddrPort) (from netip.Addr, ifname string, err error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return netip.Addr{}, "", err
	}
	defer conn.Close()
	from = conn.LocalAddr().(*net.UDPAddr).AddrPort().Addr().Unmap()
	all, _ := interfaces.List() // the name is not that important
	for _, i := range all {
		if slices.ContainsFunc(i.Addresses, func(a interfaces.Address) bool { return a.Addr() == from.WithZone("") }) {
			return from, i.Name, nil
		}
	}
	return from, "", nil
}
