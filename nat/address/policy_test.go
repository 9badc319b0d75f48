package address

import (
	"net/netip"
	"testing"
)

// TestProbeRefusal names the reason for which each sort of address is never probed.
func TestProbeRefusal(t *testing.T) {
	p := &Policy{
		Side:       netip.MustParsePrefix("100::/64"),
		Forbidden:  []netip.Prefix{netip.MustParsePrefix("10.64.0.0/20"), netip.MustParsePrefix("fd00:1::/64")},
		Supernodes: []netip.AddrPort{at("198.51.100.1:7654")},
	}
	for a, want := range map[string]Refusal{
		"203.0.113.1:4000":           Allowed,
		"192.168.1.2:4000":           Allowed,
		"10.63.255.255:4000":         Allowed,
		"10.64.0.1:4000":             RefusedOverlay,
		"[fd00:1::1]:4000":           RefusedOverlay,
		"[fd00:1::1%eth0]:4000":      RefusedOverlay,
		"[fd00:2::1]:4000":           Allowed,
		"198.51.100.1:7654":          RefusedSupernode,
		"198.51.100.1:7655":          Allowed,
		"203.0.113.1:1023":           RefusedPort,
		"203.0.113.1:1024":           Allowed,
		"203.0.113.1:0":              RefusedInvalid,
		"203.0.113.1:1900":           RefusedPort,
		"203.0.113.1:3478":           RefusedPort,
		"203.0.113.1:5060":           RefusedPort,
		"203.0.113.1:5353":           RefusedPort,
		"203.0.113.1:11211":          RefusedPort,
		"0.0.0.0:4000":               RefusedReserved,
		"0.1.2.3:4000":               RefusedReserved,
		"127.0.0.1:4000":             RefusedReserved,
		"127.9.9.9:4000":             RefusedReserved,
		"169.254.1.1:4000":           RefusedReserved,
		"224.0.0.251:4000":           RefusedReserved,
		"240.0.0.1:4000":             RefusedReserved,
		"255.255.255.255:4000":       RefusedReserved,
		"[::]:4000":                  RefusedReserved,
		"[::1]:4000":                 RefusedReserved,
		"[ff02::1]:4000":             RefusedReserved,
		"[fe80::1]:4000":             RefusedReserved,
		"[fe80::1%eth0]:4000":        Allowed,
		"[100::7]:4000":              RefusedSide,
		"[2001:db8::1]:4000":         Allowed,
		"[::ffff:203.0.113.1]:4000":  RefusedInvalid, // callers Unmap first
		"[::ffff:10.64.0.1]:4000":    RefusedInvalid,
		"[::ffff:198.51.100.1]:7654": RefusedInvalid,
	} {
		if got := p.ProbeRefusal(at(a)); got != want || p.Probeable(at(a)) != (want == Allowed) {
			t.Errorf("%s: %v, want %v", a, got, want)
		}
	}
	if got := p.ProbeRefusal(netip.AddrPort{}); got != RefusedInvalid {
		t.Errorf("no address: %v", got)
	}
}

// TestRefusalsOfLess has the two exceptions: primers go to any port of an IPv4 address,
// and what something came from is answered, also at a side address.
func TestRefusalsOfLess(t *testing.T) {
	p := &Policy{Side: netip.MustParsePrefix("100::/64"), Supernodes: []netip.AddrPort{at("198.51.100.1:7654")}}
	for a, want := range map[string][2]Refusal{
		"203.0.113.1:4000":    {Allowed, Allowed},
		"203.0.113.1:53":      {Allowed, Allowed},
		"203.0.113.1:0":       {RefusedInvalid, RefusedInvalid},
		"127.0.0.1:53":        {RefusedReserved, RefusedReserved},
		"198.51.100.1:7654":   {RefusedSupernode, RefusedSupernode},
		"[2001:db8::1]:4000":  {Allowed, Allowed},
		"[2001:db8::1]:53":    {RefusedPort, Allowed},
		"[100::7]:53":         {RefusedSide, Allowed},
		"[::ffff:1.2.3.4]:53": {RefusedInvalid, RefusedInvalid},
	} {
		if primer, reply := p.PrimerRefusal(at(a)), p.ReplyRefusal(at(a)); primer != want[0] || reply != want[1] {
			t.Errorf("%s: primers %v, replies %v, want %v", a, primer, reply, want)
		}
	}
}

// TestRefusalNames wants a name of its own for every reason.
func TestRefusalNames(t *testing.T) {
	names := map[string]bool{"": true, "unknown": true}
	for r := Allowed; r < RefusalEnd; r++ {
		if names[r.String()] {
			t.Errorf("%d: %q", r, r)
		}
		names[r.String()] = true
	}
	if RefusalEnd.String() != "unknown" {
		t.Error(RefusalEnd)
	}
}

// TestServerRefusal says where no server can be that another server names.
func TestServerRefusal(t *testing.T) {
	p := &Policy{
		Side:       netip.MustParsePrefix("100::/64"),
		Forbidden:  []netip.Prefix{netip.MustParsePrefix("10.64.0.0/20")},
		Supernodes: []netip.AddrPort{at("198.51.100.1:7654")},
	}
	for _, c := range []struct {
		server, from string
		want         Refusal
	}{
		{"203.0.113.1:3478", "198.51.100.1", Allowed},
		{"198.51.100.1:3478", "198.51.100.1", Allowed},
		{"203.0.113.1:443", "198.51.100.1", Allowed},
		{"203.0.113.1:80", "198.51.100.1", Allowed},
		{"203.0.113.1:53", "198.51.100.1", RefusedPort},
		{"203.0.113.1:22", "198.51.100.1", RefusedPort},
		{"203.0.113.1:0", "198.51.100.1", RefusedInvalid},
		{"198.51.100.1:7654", "198.51.100.1", RefusedSupernode},
		{"198.51.100.1:7654", "192.168.1.1", RefusedSupernode},
		{"192.168.1.1:3478", "198.51.100.1", RefusedReserved},
		{"[fd00::1]:3478", "2001:db8::1", RefusedReserved},
		{"192.168.1.1:3478", "192.168.1.9", Allowed},
		{"10.1.1.1:3478", "127.0.0.1", Allowed},
		{"127.0.0.1:3478", "127.0.0.1", Allowed},
		{"127.0.0.1:3478", "198.51.100.1", RefusedReserved},
		{"127.0.0.1:0", "127.0.0.1", RefusedInvalid},
		{"10.64.0.9:3478", "10.64.0.1", RefusedOverlay},
		{"224.0.0.9:3478", "198.51.100.1", RefusedReserved},
		{"169.254.169.254:3478", "192.168.1.9", RefusedReserved},
		{"[fe80::1]:3478", "fe80::2", RefusedReserved},
		{"[100::7]:3478", "198.51.100.1", RefusedSide},
	} {
		if got := p.ServerRefusal(at(c.server), netip.MustParseAddr(c.from)); got != c.want {
			t.Errorf("%s on the word of %s: %v, want %v", c.server, c.from, got, c.want)
		}
	}
}

func TestPublic(t *testing.T) {
	for a, want := range map[string]bool{
		"203.0.113.7": true, "198.51.100.7": true, "8.8.8.8": true, "100.128.0.1": true, "172.32.0.1": true, "2001:db8::1": true,
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false,
		"100.64.0.7": false, "100.127.255.255": false, "127.0.0.1": false, "169.254.1.1": false,
		"192.0.0.2": false, "0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fd00::1": false, "ff02::1": false, "::ffff:8.8.8.8": false,
	} {
		if got := Public(parse(a)); got != want {
			t.Errorf("%s: %v", a, got)
		}
	}
	if Public(netip.Addr{}) {
		t.Error("the zero address")
	}
}
