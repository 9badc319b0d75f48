package dataplane

import (
	"net/netip"
	"testing"
)

// TestMaxPacket checks the largest packet of every kind of route.
func TestMaxPacket(t *testing.T) {
	direct := netip.MustParseAddrPort("192.0.2.1:4000")
	const relayed = 1500 - 40 - 8 - 32
	for _, c := range []struct {
		name string
		r    Route
		want int
	}{
		{"relayed", Route{Supernode: &Supernode{}, Limit: 1472}, relayed},
		{"nowhere", Route{}, relayed},
		{"direct IPv4", Route{Direct: direct, Limit: MaxDatagramIPv4}, 1472},
		{"direct IPv6", Route{Direct: direct, Limit: MaxDatagramIPv6}, 1452},
		{"direct with a relay at hand", Route{Direct: direct, Supernode: &Supernode{}, Limit: MaxDatagramIPv4}, 1472},
		{"both", Route{Direct: direct, Supernode: &Supernode{}, Dual: true, Limit: MaxDatagramIPv4}, relayed},
		{"both, the direct one narrow", Route{Direct: direct, Supernode: &Supernode{}, Dual: true, Limit: 1200}, 1200},
		{"a narrow path", Route{Direct: direct, Limit: 1200}, 1200},
	} {
		if got := c.r.MaxPacket(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}
