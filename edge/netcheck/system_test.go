package netcheck

import (
	"errors"
	"net"
	"net/netip"
	"testing"
)

// TestSystem sends datagrams over the loopback by the sockets of this machine,
// those that are never fragmented among them.
func TestSystem(t *testing.T) {
	host := System()
	for _, network := range []string{"udp4", "udp6"} {
		home := netip.MustParseAddr("127.0.0.1")
		if network == "udp6" {
			home = netip.IPv6Loopback()
			if c, err := net.ListenPacket(network, "[::1]:0"); err != nil {
				t.Logf("no IPv6: %v", err)
				continue
			} else {
				c.Close()
			}
		}
		for name, open := range map[string]func(string) (Conn, error){"plain": host.Open, "whole": host.OpenWhole} {
			a, err := open(network)
			if errors.Is(err, errors.ErrUnsupported) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			b, err := host.Open(network)
			if err != nil {
				t.Fatal(err)
			}
			if err := a.WriteTo([]byte("hello"), netip.AddrPortFrom(home, b.Port())); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 16)
			n, from, err := b.ReadFrom(buf)
			if err != nil || string(buf[:n]) != "hello" || from != netip.AddrPortFrom(home, a.Port()) {
				t.Errorf("%s %s: %q from %v, %v", network, name, buf[:n], from, err)
			}
			b.Close()
			if _, _, err := b.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s: read after the end: %v", network, err)
			}
		}
		from, ifname, err := host.Source(netip.AddrPortFrom(home, 9))
		if err != nil || from != home || ifname == "" {
			t.Errorf("the source towards %v is %v of %q, %v", home, from, ifname, err)
		}
	}
	if _, err := host.Open("tcp"); err == nil {
		t.Error("a UDP socket of TCP")
	}
	if addrs, err := host.Lookup(t.Context(), "127.0.0.1"); err != nil || len(addrs) != 1 {
		t.Errorf("%v, %v", addrs, err)
	}
	if n, err := host.Rand.Read(make([]byte, 8)); n != 8 || err != nil {
		t.Error(n, err)
	}
}
