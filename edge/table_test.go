package edge

import (
	"net/netip"
	"testing"

	"hedgerow/crypto"
)

// TestMaxPacket checks the largest packet of every kind of route.
func TestMaxPacket(t *testing.T) {
	direct := netip.MustParseAddrPort("192.0.2.1:4000")
	const relayed = 1500 - 40 - 8 - 32
	for _, c := range []struct {
		name string
		r    route
		want int
	}{
		{"relayed", route{relay: &linkView{}, limit: 1472}, relayed},
		{"nowhere", route{}, relayed},
		{"direct IPv4", route{direct: direct, limit: maxDatagramIPv4}, 1472},
		{"direct IPv6", route{direct: direct, limit: maxDatagramIPv6}, 1452},
		{"direct with a relay at hand", route{direct: direct, relay: &linkView{}, limit: maxDatagramIPv4}, 1472},
		{"both", route{direct: direct, relay: &linkView{}, dual: true, limit: maxDatagramIPv4}, relayed},
		{"both, the direct one narrow", route{direct: direct, relay: &linkView{}, dual: true, limit: 1200}, 1200},
		{"a narrow path", route{direct: direct, limit: 1200}, 1200},
	} {
		if got := c.r.maxPacket(); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// TestTableCanReceive checks that only the epochs of the table are received.
func TestTableCanReceive(t *testing.T) {
	var tab table
	tab.epochs[0], tab.epochs[254] = &crypto.Epoch{Index: 0}, &crypto.Epoch{Index: 254}
	for ki := range 256 {
		e, ok := tab.canReceive(uint8(ki))
		if want := ki == 0 || ki == 254; ok != want || ok && e.Index != uint8(ki) {
			t.Errorf("index %d: %v %v", ki, e, ok)
		}
	}
}
