package network

import (
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	of := func(a string) [Levels]Key {
		if a == "" {
			return Of(netip.Addr{})
		}
		return Of(netip.MustParseAddr(a))
	}
	// shared is how many of the networks of two addresses are the same.
	for _, tt := range []struct {
		a, b   string
		shared int
	}{
		{"192.0.2.1", "192.0.2.1", 3}, {"192.0.2.1", "::ffff:192.0.2.1", 3}, {"192.0.2.1", "192.0.2.2", 1}, {"192.0.2.1", "192.0.3.1", 0},
		{"2001:db8::1", "2001:db8::ffff:1", 3}, {"2001:db8::1", "2001:db8::1%eth0", 3}, {"2001:db8:0:1::", "2001:db8:0:2::", 2},
		{"2001:db8:0:100::", "2001:db8:0:200::", 1}, {"2001:db8::", "2001:db8:1::", 0},
		{"", "", 3}, {"", "192.0.2.1", 0}, {"0.0.0.0", "::", 0}, {"192.0.2.0", "::c000:200", 0},
	} {
		shared := 0
		a, b := of(tt.a), of(tt.b)
		for i := range a {
			if a[i] == b[i] {
				shared++
			}
			if a[i].Level() != i || len(a[i].Append(nil)) != 9 {
				t.Errorf("%s: level %d of %d", tt.a, a[i].Level(), i)
			}
		}
		if shared != tt.shared {
			t.Errorf("%q and %q share %d", tt.a, tt.b, shared)
		}
	}
}
