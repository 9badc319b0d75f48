package netwatch

import (
	"net/netip"
	"slices"
	"testing"
)

func addrs(list ...string) (as []netip.Addr) {
	for _, s := range list {
		as = append(as, netip.MustParseAddr(s))
	}
	return as
}

// What counts of a reading, and in which order.
func TestStateOfReading(t *testing.T) {
	gw, gw6 := netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("fe80::1")
	r := &reading{
		interfaces: map[int]string{1: "lo", 2: "eth0", 3: "wlan0", 4: "edge0"}, // 5 is down
		addresses: []placed{
			{3, netip.MustParseAddr("192.168.2.20")},
			{2, netip.MustParseAddr("2001:db8::20")},
			{2, netip.MustParseAddr("192.168.1.20")},
			{3, netip.MustParseAddr("192.168.1.20")},
			{1, netip.MustParseAddr("127.0.0.1")},
			{2, netip.MustParseAddr("fe80::20")},
			{2, netip.MustParseAddr("169.254.7.7")},
			{4, netip.MustParseAddr("10.64.0.7")},
			{5, netip.MustParseAddr("192.168.5.20")},
		},
		routes: []candidate{
			{Route: Route{Interface: 5, Gateway: gw}},
			{Route: Route{Interface: 4}},
			{Route: Route{Interface: 3, Gateway: gw}, metric: 600},
			{Route: Route{Interface: 2, Gateway: gw}, metric: 100},
			{Route: Route{Interface: 3, Gateway: gw6}, metric: 1024, ipv6: true},
			{Route: Route{Interface: 2, Gateway: gw6}, metric: 1024, ipv6: true},
		},
	}
	want := State{
		Routes:    []Route{{2, gw}, {2, gw6.WithZone("eth0")}},
		Addresses: addrs("192.168.1.20", "192.168.2.20", "2001:db8::20"),
	}
	exclude := func(ifname string) bool { return ifname == "edge0" }
	for range 2 {
		if got := r.state(exclude); !got.Equal(want) {
			t.Errorf("got %v, want %v", got, want)
		}
		slices.Reverse(r.addresses) // the order of the system means nothing
		slices.Reverse(r.routes)
	}
	if got := r.state(nil); got.Routes[0].Interface != 4 || !slices.Contains(got.Addresses, netip.MustParseAddr("10.64.0.7")) {
		t.Errorf("nothing excluded: %v", got)
	}
}

// come and gone return the addresses that are new, and those that can no longer be sent from.
func (c Change) come() []netip.Addr { return without(c.After.Addresses, c.Before.Addresses) }
func (c Change) gone() []netip.Addr { return without(c.Before.Addresses, c.After.Addresses) }

// rerouted reports whether a default route has changed.
func (c Change) rerouted() bool { return !slices.Equal(c.Before.Routes, c.After.Routes) }

// without returns those of a that are not in b.
func without(a, b []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(a), func(x netip.Addr) bool { return slices.Contains(b, x) })
}
