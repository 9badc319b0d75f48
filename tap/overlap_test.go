package tap

import (
	"net/netip"
	"testing"
)

func TestNetworkOf(t *testing.T) {
	for a, want := range map[string]string{
		"192.168.1.20/24": "192.168.1.0/24", "10.64.7.8/16": "10.64.0.0/16", "fd00:1::5/64": "fd00:1::/64", "fe80::1/64": "", "169.254.1.1/16": "",
	} {
		got, ok := networkOf(netip.MustParsePrefix(a))
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v %v, want %q", a, got, ok, want)
		}
	}
	if p, ok := networkOf(netip.Prefix{}); ok {
		t.Errorf("an address without a network: %v", p)
	}
}

func TestOverlapOfNothing(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("fe80::/64")} {
		if name, _, ok, _ := Overlap(p, nil); ok {
			t.Errorf("%v overlaps %s", p, name)
		}
	}
	if name, other, ok, _ := Overlap(netip.MustParsePrefix("127.0.0.0/24"), nil); ok && other.String() != "127.0.0.0/8" {
		t.Errorf("%s %s", name, other)
	}
}
