package sim

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nat64"
	"hedgerow/nat/nattest"
	"hedgerow/nat/path"
)

// sixOnly is the address of a host without IPv4, and translatedAddr where the NAT64 of its
// network is seen.
var (
	sixOnly        = netip.MustParseAddr("2001:db8:6::2")
	translatedAddr = netip.MustParseAddr("203.0.113.64")
)

func nat64Prefix(t *testing.T, s string) nat64.Prefix {
	t.Helper()
	p, ok := nat64.NewPrefix(netip.MustParsePrefix(s))
	if !ok {
		t.Fatalf("%s is no prefix of a NAT64", s)
	}
	return p
}

// onNAT64 is a network without IPv4 whose NAT64 does as b says, a member there and one
// behind a router elsewhere.
func onNAT64(t *testing.T, prefix string, b nattest.Behavior, o Options) (h *home, member, remote *Edge) {
	h = &home{World: New(t, 64), t: t, at: supernodeAddr}
	p := nat64Prefix(t, prefix)
	h.Net.NAT64(p, translatedAddr, b)
	h.sn = h.Supernode(supernodeAddr)
	h.ends = []func(){h.sn.Stop}
	o.Name, o.Supernodes, o.Address, o.Around.DNS64 = "member", []*Supernode{h.sn}, none, p
	member = h.Edge(h.Net.Host(sixOnly), o)
	h.ends = append(h.ends, member.Stop)
	return h, member, h.remote(0, nattest.PortRestricted)
}

// A host without IPv4 reaches IPv4 supernodes, given by address or name, and the IPv4
// addresses of peers by the NAT64 of its network, whatever the length of the prefix. They are
// IPv4 addresses to it and its peers.
func TestNAT64(t *testing.T) {
	for _, tc := range []struct {
		prefix string
		byName bool
	}{
		{"64:ff9b::/96", false}, {"64:ff9b::/96", true}, {"2001:db8:122:344::/64", true}, {"2001:db8:122:300::/56", false},
		{"2001:db8:122::/48", false}, {"2001:db8:100::/40", true}, {"2001:db9::/32", false},
	} {
		t.Run(tc.prefix, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var o Options
				if tc.byName {
					o.Around.Names = func() netip.Addr { return supernodeAddr }
				}
				h, member, remote := onNAT64(t, tc.prefix, nattest.PortRestricted, o)
				defer h.end()
				h.talk(member, remote, 3*time.Second)
				h.paths(member, remote, control.PathDirect)
				if a := netip.MustParseAddrPort(wayTo(t, member, remote).Endpoint).Addr(); a != netip.MustParseAddr("203.0.113.100") {
					t.Errorf("the peer is at %v", a)
				}
				if a := netip.MustParseAddrPort(wayTo(t, remote, member).Endpoint).Addr(); a != translatedAddr {
					t.Errorf("the member is at %v", a)
				}
				if status := member.status(); status.Supernodes[0].State != control.StateRegistered || status.Supernodes[0].Addr != h.sn.Addr.String() || !strings.HasSuffix(status.Mapping, "NAT64 "+tc.prefix) || len(status.Notes) > 0 {
					t.Errorf("%+v", status)
				}
			})
		})
	}
}

// A NAT64 that gives every destination another port is a NAT like others: one of the sockets
// that the techniques for these open gets through.
func TestHardNAT64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hard := nattest.Symmetric
		hard.RandomPorts = false
		h, member, remote := onNAT64(t, "64:ff9b::/96", hard, Options{})
		defer h.end()
		h.talk(member, remote, 5*time.Second)
		h.paths(member, remote, control.PathDirect)
	})
}

// Without a NAT64 both ends say which IP version is missing, in the reason for the relayed
// path and in status.
func TestMissingFamily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &home{World: New(t, 65), t: t}
		h.sn = h.Supernode(supernodeAddr, netip.MustParseAddr("2001:db8:1::1"))
		h.ends = []func(){h.sn.Stop}
		defer h.end()
		six := h.Edge(h.Net.Host(sixOnly), Options{Name: "six", Supernodes: []*Supernode{h.sn}, Address: none})
		four := h.Edge(h.Net.Host(netip.MustParseAddr("203.0.113.9")), Options{Name: "four", Supernodes: []*Supernode{h.sn}, Address: none})
		alone := h.Supernode(netip.MustParseAddr("203.0.113.2"))
		lost := h.Edge(h.Net.Host(netip.MustParseAddr("2001:db8:6::3")), Options{Name: "lost", Supernodes: []*Supernode{alone}, Address: none})
		h.ends = append(h.ends, alone.Stop, six.Stop, four.Stop, lost.Stop)
		time.Sleep(time.Second)
		h.talk(six, four, 5*time.Second)
		h.paths(six, four, control.PathRelay)
		for _, c := range []struct {
			from, to *Edge
			why      string
		}{{six, four, path.NoIPv4}, {four, six, path.NoIPv6}} {
			if why := wayTo(t, c.from, c.to).Reason; !strings.Contains(why, c.why) {
				t.Errorf("%q, not %q", why, c.why)
			}
			if c.from.says("1 member has IPv4 addresses alone") != (c.from == six) {
				t.Errorf("status says %q", c.from.status().Notes)
			}
		}
		h.talk(lost, four, 30*time.Second)
		if !lost.says("203.0.113.2:7654 has an IPv4 address alone, and this host has no IPv4") {
			t.Errorf("status says %q", lost.status().Notes)
		}
	})
}

// A host that moves to a network without IPv4, and back, keeps its supernode and its peers,
// and the name of the supernode does not seem to stand for another one.
func TestRoamToNAT64(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, member, remote := onNAT64(t, "64:ff9b::/96", nattest.PortRestricted, Options{Around: Around{Watch: true, Names: func() netip.Addr { return supernodeAddr }}})
		defer h.end()
		h.talk(member, remote, 3*time.Second)
		for _, a := range []string{"203.0.113.7", "2001:db8:6::7"} {
			member.host.SetAddresses(netip.MustParseAddr(a))
			h.talk(member, remote, 5*time.Second)
			h.paths(member, remote, control.PathDirect)
			if notes := member.status().Notes; len(notes) > 0 {
				t.Errorf("at %s status says %q", a, notes)
			}
		}
	})
}
