package tap

import (
	"net"
	"net/netip"
	"testing"
)

func TestFirstOverlap(t *testing.T) {
	cidr := func(s string) net.Addr {
		ip, n, err := net.ParseCIDR(s)
		if err != nil {
			t.Fatal(err)
		}
		return &net.IPNet{IP: ip, Mask: n.Mask}
	}
	addrs := []net.Addr{
		&net.IPAddr{IP: net.IPv4(10, 64, 0, 1)}, // no network
		cidr("fe80::1/64"), cidr("192.168.1.20/24"), cidr("10.64.7.8/16"), cidr("fd00:1::5/64"),
	}
	for prefix, want := range map[string]string{
		"10.64.0.0/24":    "10.64.0.0/16",
		"10.0.0.0/8":      "10.64.0.0/16",
		"192.168.1.0/30":  "192.168.1.0/24",
		"192.168.2.0/24":  "",
		"fd00:1::/48":     "fd00:1::/64",
		"fd00:1:0:1::/64": "",
		"0.0.0.0/0":       "192.168.1.0/24",
	} {
		got, ok := firstOverlap(netip.MustParsePrefix(prefix), addrs)
		if ok != (want != "") || ok && got.String() != want {
			t.Errorf("%s: %v %v, want %q", prefix, got, ok, want)
		}
	}
}

func TestOverlapOfNothing(t *testing.T) {
	for _, p := range []netip.Prefix{{}, netip.MustParsePrefix("fe80::/64")} {
		if name, _, ok := Overlap(p, nil); ok {
			t.Errorf("%v overlaps %s", p, name)
		}
	}
	if name, other, ok := Overlap(netip.MustParsePrefix("127.0.0.0/24"), nil); ok && other.String() != "127.0.0.0/8" {
		t.Errorf("%s %s", name, other)
	}
}
