package address

import (
	"net/netip"
	"slices"
	"testing"
)

func TestGather(t *testing.T) {
	p := &Policy{Forbidden: []netip.Prefix{netip.MustParsePrefix("10.64.0.0/10")}}
	var hosts []netip.Addr
	for _, s := range []string{"192.168.1.2", "::ffff:192.168.1.2", "10.64.0.5", "127.0.0.1", "fe80::1", "2001:db8::1"} {
		hosts = append(hosts, parse(s))
	}
	got := Gather(Sources{Host: hosts, Port: 4000, Reflexive: []netip.AddrPort{at("203.0.113.1:4000"), at("203.0.113.1:4000"), at("192.168.1.2:4000")}}, p)
	want := []Candidate{{KindHost, at("192.168.1.2:4000")}, {KindHost, at("[2001:db8::1]:4000")}, {KindReflexive, at("203.0.113.1:4000")}}
	if !slices.Equal(got, want) {
		t.Errorf("%v", got)
	}
	hosts = nil
	for i := range 20 {
		hosts = append(hosts, netip.AddrFrom4([4]byte{192, 168, 1, byte(i)}), netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i + 1)}))
	}
	if got := Gather(Sources{Host: hosts, Port: 4000}, p); len(got) != MaxCandidates {
		t.Errorf("%d", len(got))
	}
	var reflexive []netip.AddrPort
	for i := range 5 {
		reflexive = append(reflexive, netip.AddrPortFrom(parse("203.0.113.1"), 4000+uint16(i)))
	}
	got = Gather(Sources{Host: hosts, Port: 4000, Reflexive: reflexive}, p)
	if len(got) != 14 || got[12].Addr != reflexive[0] || got[13].Addr != reflexive[1] {
		t.Errorf("%d: %v", len(got), got)
	}
}

func TestHostAddresses(t *testing.T) {
	all, err := OfInterfaces(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if a.IsLoopback() || a.IsLinkLocalUnicast() || a.Is4In6() {
			t.Errorf("%v", a)
		}
	}
	none, err := OfInterfaces(func(string) bool { return true })
	if err != nil || len(none) != 0 {
		t.Errorf("%v %v", none, err)
	}
}
