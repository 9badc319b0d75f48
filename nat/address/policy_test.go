package address

import (
	"net/netip"
	"testing"
)

func TestProbeable(t *testing.T) {
	p := &Policy{
		Forbidden:  []netip.Prefix{netip.MustParsePrefix("10.64.0.0/20"), netip.MustParsePrefix("fd00:1::/64")},
		Supernodes: []netip.AddrPort{at("198.51.100.1:7654")},
	}
	for a, want := range map[string]bool{
		"203.0.113.1:4000":           true,
		"192.168.1.2:4000":           true,
		"10.63.255.255:4000":         true,
		"10.64.0.1:4000":             false,
		"[fd00:1::1]:4000":           false,
		"[fd00:1::1%eth0]:4000":      false,
		"[fd00:2::1]:4000":           true,
		"198.51.100.1:7654":          false,
		"198.51.100.1:7655":          true,
		"203.0.113.1:1023":           false,
		"203.0.113.1:1024":           true,
		"203.0.113.1:0":              false,
		"203.0.113.1:1900":           false,
		"203.0.113.1:3478":           false,
		"203.0.113.1:5060":           false,
		"203.0.113.1:5353":           false,
		"203.0.113.1:11211":          false,
		"0.0.0.0:4000":               false,
		"0.1.2.3:4000":               false,
		"127.0.0.1:4000":             false,
		"127.9.9.9:4000":             false,
		"169.254.1.1:4000":           false,
		"224.0.0.251:4000":           false,
		"240.0.0.1:4000":             false,
		"255.255.255.255:4000":       false,
		"[::]:4000":                  false,
		"[::1]:4000":                 false,
		"[ff02::1]:4000":             false,
		"[fe80::1]:4000":             false,
		"[fe80::1%eth0]:4000":        true,
		"[2001:db8::1]:4000":         true,
		"[::ffff:203.0.113.1]:4000":  false, // callers Unmap first
		"[::ffff:10.64.0.1]:4000":    false,
		"[::ffff:198.51.100.1]:7654": false,
	} {
		if got := p.Probeable(at(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if p.Probeable(netip.AddrPort{}) {
		t.Error("no address")
	}
}
