package address

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestReflexiveMapping(t *testing.T) {
	type sight struct {
		after        time.Duration
		server, seen string
	}
	for _, c := range []struct {
		name   string
		sights []sight
		want   MappingBehavior
	}{
		{"nothing", nil, MappingUnknown},
		{"one server", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}}, MappingUnknown},
		{"one server, two ports, same", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4000"}}, MappingUnknown},
		{"one server, two ports, other", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4001"}}, MappingAddressAndPortDependent},
		{"two servers, same", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"}}, MappingEndpointIndependent},
		{"two servers, other", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4001"}}, MappingAddressAndPortDependent},
		{"two servers with two ports, equal per server", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4000"},
			{0, "198.51.100.2:1", "203.0.113.1:4001"}, {0, "198.51.100.2:2", "203.0.113.1:4001"}}, MappingAddressDependent},
		{"all different", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.1:2", "203.0.113.1:4001"},
			{0, "198.51.100.2:1", "203.0.113.1:4002"}}, MappingAddressAndPortDependent},
		{"a reboot in between", []sight{{0, "198.51.100.1:1", "203.0.113.1:4000"}, {40 * time.Second, "198.51.100.2:1", "203.0.113.1:4001"}}, MappingUnknown},
		{"the same server again", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"},
			{time.Second, "198.51.100.1:1", "203.0.113.1:5000"}, {time.Second, "198.51.100.2:1", "203.0.113.1:5000"}}, MappingEndpointIndependent},
		{"a server on the LAN beside one outside", []sight{
			{0, "192.168.1.10:1", "192.168.1.2:4000"}, {0, "192.168.1.10:2", "192.168.1.2:4000"},
			{0, "198.51.100.1:1", "203.0.113.1:4000"}}, MappingUnknown},
		{"servers on the LAN", []sight{{0, "192.168.1.10:1", "192.168.1.2:4000"}, {0, "192.168.1.11:1", "192.168.1.2:4000"}}, MappingEndpointIndependent},
		{"IPv6 beside IPv4", []sight{
			{0, "198.51.100.1:1", "203.0.113.1:4000"}, {0, "198.51.100.2:1", "203.0.113.1:4000"},
			{0, "[2001:db8::1]:1", "[2001:db8::9]:4000"}}, MappingEndpointIndependent},
		{"IPv6 alone", []sight{{0, "[2001:db8::1]:1", "[2001:db8::9]:4000"}, {0, "[2001:db8::2]:1", "[2001:db8::9]:4000"}}, MappingEndpointIndependent},
	} {
		var r Reflexive
		for _, s := range c.sights {
			r.Observe(epoch.Add(s.after), at(s.server), at(s.seen))
		}
		if got := r.Mapping(); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

func TestReflexiveList(t *testing.T) {
	var r Reflexive
	a, b := at("203.0.113.1:4000"), at("203.0.113.1:4001")
	s1, s2 := at("198.51.100.1:1"), at("198.51.100.2:1")
	if !r.Observe(epoch, s1, a) || r.Observe(epoch.Add(time.Second), s1, a) || !r.Observe(epoch.Add(2*time.Second), s2, b) {
		t.Error("changed")
	}
	if got := r.List(epoch.Add(3 * time.Second)); !slices.Equal(got, []netip.AddrPort{b, a}) {
		t.Errorf("%v", got)
	}
	if got := r.List(epoch.Add(121 * time.Second)); !slices.Equal(got, []netip.AddrPort{b}) {
		t.Errorf("%v", got)
	}
	if !r.Observe(epoch.Add(4*time.Second), s1, b) || r.Observe(epoch, netip.AddrPort{}, a) {
		t.Error("changed")
	}
	for i := range 100 {
		r.Observe(epoch, netip.AddrPortFrom(s1.Addr(), uint16(i+1)), a)
	}
	if len(r.list) != maxObservations {
		t.Errorf("%d", len(r.list))
	}
}

// What most have seen comes first, and of what as many have seen the newest.
func TestReflexiveCommon(t *testing.T) {
	var r Reflexive
	a, b, c := at("203.0.113.1:4000"), at("203.0.113.1:4001"), at("203.0.113.1:4002")
	for i, seen := range []netip.AddrPort{a, b, a, c} {
		r.Observe(epoch, netip.AddrPortFrom(parse("198.51.100.1"), uint16(1+i)), seen)
	}
	if got := r.Common(epoch); !slices.Equal(got, []netip.AddrPort{a, c, b}) {
		t.Errorf("%v", got)
	}
	if got := r.Common(epoch.Add(observationLife)); len(got) > 0 {
		t.Errorf("%v", got)
	}
}
