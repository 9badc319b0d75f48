package portmap

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"testing"
)

// TestSystemGateway excludes every interface, so that the host has no router;
// with its own interfaces it has one or none, but no third.
func TestSystemGateway(t *testing.T) {
	if _, _, err := SystemGateway(func(string) bool { return true })(); !errors.Is(err, errNoRouter) {
		t.Errorf("a router without an interface: %v", err)
	}
	gateway, local, err := SystemGateway(nil)()
	if err == nil != (gateway.Is4() && local.Is4()) || err != nil && !errors.Is(err, errNoRouter) {
		t.Errorf("%v, %v, %v", gateway, local, err)
	}
}

func TestLocalTowards(t *testing.T) {
	home := netip.MustParseAddr("127.0.0.1")
	if got, err := localTowards(home); got != home || err != nil {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := localTowards(netip.MustParseAddr("2001:db8::1")); err == nil {
		t.Error("an IPv6 address by IPv4")
	}
}

// TestConnect talks to a router's port and hears nothing from another one.
func TestConnect(t *testing.T) {
	listen := func() *net.UDPConn {
		t.Helper()
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	gateway, stranger := listen(), listen()
	conn, err := loopback.connect(gateway.LocalAddr().(*net.UDPAddr).AddrPort().Port())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := stranger.WriteTo([]byte("forged"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.WriteTo([]byte("answer"), conn.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 16)
	if n, err := conn.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	if _, err := (router{gateway: loopback.gateway, local: netip.MustParseAddr("192.0.2.77")}).connect(1); err == nil {
		t.Error("a socket with an address that is not ours")
	}
}

// TestTargets asks the router, and its link by multicast if the address is of an
// interface.
func TestTargets(t *testing.T) {
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	gateway := netip.AddrPortFrom(loopback.gateway, ssdpPort)
	elsewhere := router{gateway: loopback.gateway, local: netip.MustParseAddr("192.0.2.77")}
	for name, tt := range map[string]struct {
		u    upnp
		r    router
		want []netip.AddrPort
	}{
		"unicast":         {upnp{port: ssdpPort}, loopback, []netip.AddrPort{gateway}},
		"multicast":       {upnp{port: ssdpPort, multicast: true}, loopback, []netip.AddrPort{gateway, netip.AddrPortFrom(ssdpGroup, ssdpPort)}},
		"of no interface": {upnp{port: ssdpPort, multicast: true}, elsewhere, []netip.AddrPort{gateway}},
	} {
		if got := tt.u.targets(tt.r, conn); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", name, got, tt.want)
		}
	}
}

// TestSearchEnds ends a search before it has asked, and one whose address is not
// ours.
func TestSearchEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	never := func(*url.URL) bool { t.Error("found"); return true }
	if err := (upnp{port: 1}).search(ctx, loopback, never); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if err := (upnp{port: 1}).search(t.Context(), router{local: netip.MustParseAddr("192.0.2.77")}, never); err == nil || errors.Is(err, errSilent) {
		t.Errorf("%v", err)
	}
}
