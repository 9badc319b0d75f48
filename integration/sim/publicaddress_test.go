package sim

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// homeAddr is the public address of a home with a supernode in it, homeServer that of
// the supernode there, and homeSTUN that of a STUN server outside.
var (
	homeAddr   = netip.MustParseAddr("198.51.100.1")
	homeServer = netip.MustParseAddr("192.168.1.10")
	homeSTUN   = netip.MustParseAddr("203.0.113.9")
)

// home is a router with a supernode behind a forwarded port, and a member on its LAN, which
// the supernode sees at a private address.
type home struct {
	*World
	t      *testing.T
	router *nattest.Router
	sn     *Supernode
	at     netip.Addr // of the supernode, for members elsewhere
	member *Edge
	ends   []func()
}

func newHome(t *testing.T, b nattest.Behavior, reach edge.Reach) *home {
	h := &home{World: New(t, 18), t: t, at: homeAddr}
	h.router = h.Net.Router(homeAddr, b)
	h.sn = &Supernode{
		world: h.World, host: h.router.Host(homeServer), identity: h.identity(), dir: t.TempDir(), Addr: netip.AddrPortFrom(homeServer, 7654),
	}
	h.sn.Start()
	forward := start(func(ctx context.Context) error {
		h.sn.host.Mapper(7654).Run(ctx, func(netip.AddrPort) {})
		return nil
	})
	stun := h.Supernode(homeSTUN)
	h.ends = []func(){func() { _ = forward.stop() }, h.sn.Stop, stun.Stop}
	time.Sleep(stagger)
	h.member = h.join("member", h.router.Host(netip.MustParseAddr("192.168.1.2")), homeServer, reach)
	return h
}

// join starts an edge whose name server says where the supernode is.
func (h *home) join(name string, host *nattest.Host, server netip.Addr, reach edge.Reach) *Edge {
	e := h.Edge(host, Options{
		Name: name, Supernodes: []*Supernode{h.sn}, Address: none, Reach: reach, Around: Around{Names: func() netip.Addr { return server }},
	})
	h.ends = append(h.ends, e.Stop)
	time.Sleep(time.Second)
	return e
}

// remote starts an edge behind the i-th other router.
func (h *home) remote(i byte, b nattest.Behavior) *Edge {
	r := h.Net.Router(netip.AddrFrom4([4]byte{203, 0, 113, 100 + i}), b)
	return h.join(fmt.Sprint("remote", i), r.Host(netip.MustParseAddr("192.168.7.2")), h.at, edge.Reach{})
}

func (h *home) end() {
	for _, f := range slices.Backward(h.ends) {
		f()
	}
	h.Close()
}

// talk sends frames both ways for a time.
func (h *home) talk(a, b *Edge, d time.Duration) {
	for range d / (100 * time.Millisecond) {
		a.Send(b.MAC, number(1))
		b.Send(a.MAC, number(1))
		time.Sleep(100 * time.Millisecond)
	}
}

// paths fails the test unless both edges reach each other by a path.
func (h *home) paths(a, b *Edge, want control.Path) {
	h.t.Helper()
	if wayTo(h.t, a, b).Path != want || wayTo(h.t, b, a).Path != want {
		h.t.Errorf("%+v and %+v, want %s", wayTo(h.t, a, b), wayTo(h.t, b, a), want)
	}
}

// replacing is a port-restricted NAT that keeps no port, as many home routers are.
var replacing = nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering}

// A member on the LAN of a supernode behind a forwarded port is seen from outside by no
// server. Where the router keeps ports, remote members find it beside the supernode.
func TestBesideSupernode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHome(t, nattest.PortRestricted, edge.Reach{})
		defer h.end()
		r := h.remote(0, nattest.PortRestricted)
		h.talk(h.member, r, 5*time.Second)
		h.paths(h.member, r, control.PathDirect)
	})
}

// Where the router keeps no port, the member learns its public address from the first remote
// member that it reaches, from a STUN server, or from its user.
func TestPublicAddressLearned(t *testing.T) {
	for _, tc := range []struct {
		name  string
		open  bool // a remote member behind a NAT that lets everybody in is there first
		reach edge.Reach
		want  control.Path
	}{
		{"nobody tells", false, edge.Reach{}, control.PathRelay},
		{"a remote member tells", true, edge.Reach{}, control.PathDirect},
		{"a STUN server tells", false, edge.Reach{STUN: []string{netip.AddrPortFrom(homeSTUN, 7654).String()}}, control.PathDirect},
		{"the user tells", false, edge.Reach{Advertise: []netip.AddrPort{netip.MustParseAddrPort("198.51.100.1:40000")}}, control.PathDirect},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHome(t, replacing, tc.reach)
				defer h.end()
				if tc.open {
					r := h.remote(0, nattest.FullCone)
					h.talk(h.member, r, 5*time.Second)
					h.paths(h.member, r, control.PathDirect)
				}
				r := h.remote(1, nattest.PortRestricted)
				h.talk(h.member, r, 5*time.Second)
				h.paths(h.member, r, tc.want)
			})
		})
	}
}

// Two members behind one NAT meet on their LAN. Where the LAN keeps them apart, as a wireless
// network does with its guests, or each has a router of its own behind a carrier's, they meet
// by hairpinning, and without it by the supernode.
func TestHairpin(t *testing.T) {
	hairpin := nattest.PortRestricted
	hairpin.Hairpin = true
	for _, tc := range []struct {
		name   string
		router nattest.Behavior
		lay    func(r *nattest.Router) (a, b *nattest.Host)
		want   control.Path
	}{
		{"one LAN", nattest.PortRestricted, oneLAN, control.PathDirect},
		{"one LAN, hairpinning", hairpin, oneLAN, control.PathDirect},
		{"kept apart", nattest.PortRestricted, keptApart, control.PathRelay},
		{"kept apart, hairpinning", hairpin, keptApart, control.PathDirect},
		{"a carrier's NAT", nattest.PortRestricted, twoHomes, control.PathRelay},
		{"a carrier's NAT, hairpinning", hairpin, twoHomes, control.PathDirect},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &home{World: New(t, 19), t: t}
				h.sn = h.Supernode(supernodeAddr)
				h.ends = []func(){h.sn.Stop}
				defer h.end()
				x, y := tc.lay(h.Net.Router(homeAddr, tc.router))
				a, b := h.join("a", x, supernodeAddr, edge.Reach{}), h.join("b", y, supernodeAddr, edge.Reach{})
				h.talk(a, b, 5*time.Second)
				h.paths(a, b, tc.want)
				if got := wayTo(t, a, b).Endpoint; tc.want == control.PathDirect {
					at := netip.MustParseAddrPort(got).Addr()
					if outside := at == homeAddr; outside != (tc.router.Hairpin && tc.name != "one LAN, hairpinning") {
						t.Errorf("they meet at %s", got)
					}
				}
			})
		})
	}
}

func oneLAN(r *nattest.Router) (a, b *nattest.Host) {
	return r.Host(netip.MustParseAddr("192.168.1.2")), r.Host(netip.MustParseAddr("192.168.1.3"))
}

func keptApart(r *nattest.Router) (a, b *nattest.Host) {
	a, b = oneLAN(r)
	r.LAN().Split(b.Addresses()[0])
	return a, b
}

func twoHomes(r *nattest.Router) (a, b *nattest.Host) {
	one := r.Router(netip.MustParseAddr("100.64.0.2"), nattest.PortRestricted)
	other := r.Router(netip.MustParseAddr("100.64.0.3"), nattest.PortRestricted)
	return one.Host(netip.MustParseAddr("192.168.1.2")), other.Host(netip.MustParseAddr("192.168.7.2"))
}
