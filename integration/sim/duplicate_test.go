package sim

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
)

// apart are two members with two supernodes, of which each reaches another one, until
// together is set; they do not reach each other either.
type apart struct {
	w     *World
	told  [2]events
	edges [2]*Edge
}

// newApart starts two members that get one address of two supernodes, first the one with
// number 0.
func newApart(t *testing.T, w *World, mode edge.AddressMode) *apart {
	a := &apart{w: w}
	supers := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.2")}
	hosts := []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("198.51.100.2")}
	both := []*Supernode{w.Supernode(supers[0]), w.Supernode(supers[1])}
	w.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
		for i := range 2 {
			here, there := hosts[i], []netip.Addr{supers[1-i], hosts[1-i]}
			if from.Addr() == here && slices.Contains(there, to.Addr()) || to.Addr() == here && slices.Contains(there, from.Addr()) {
				return true
			}
		}
		return false
	})
	for i := range 2 {
		a.edges[i] = w.Edge(w.Net.Host(hosts[i]), Options{
			Name: []string{"first", "second"}[i], Supernodes: both, Report: a.told[i].add,
			Address: edge.Address{Mode: mode, Prefix: netip.MustParsePrefix("10.1.2.1/24")},
		})
		time.Sleep(10 * time.Second)
	}
	return a
}

// together lets all reach all.
func (a *apart) together() { a.w.Net.SetDrop(nil) }

// has reports whether a member has an address.
func (a *apart) has(t *testing.T, i int, addr string) bool {
	t.Helper()
	return slices.ContainsFunc(a.edges[i].status().Prefixes, func(p string) bool { return strings.HasPrefix(p, addr+"/") })
}

func (a *apart) stop() {
	for _, e := range a.edges {
		e.Stop()
	}
}

// Two supernodes that were apart have leased one address twice. When they are reached by
// both members again, the one that started later gets another address, the first keeps
// its own, and both are healthy.
func TestDuplicateLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 51)
		defer w.Close()
		a := newApart(t, w, edge.AddressPrefer)
		if !a.has(t, 0, "10.1.2.1") || !a.has(t, 1, "10.1.2.1") {
			t.Fatal("they have not got the same address")
		}
		a.together()
		time.Sleep(3 * time.Minute)
		if !a.has(t, 0, "10.1.2.1") || a.has(t, 1, "10.1.2.1") || !a.has(t, 1, "10.1.2") && len(a.edges[1].status().Prefixes) != 2 {
			t.Errorf("the first has %v, the second %v", a.edges[0].status().Prefixes, a.edges[1].status().Prefixes)
		}
		for i := range 2 {
			if list := a.told[i].of(control.EventAddressTwice); len(list) != 1 || list[0].Peer.Name != []string{"second", "first"}[i] {
				t.Errorf("member %d was told %+v", i, list)
			}
			if notes := a.edges[i].status().Notes; len(notes) != 0 {
				t.Errorf("member %d says %q", i, notes)
			}
		}
		if list := a.told[1].of(control.EventAddressReplaced); len(list) != 1 || list[0].Peer.Name != "first" || list[0].Wanted.Addr() != netip.MustParseAddr("10.1.2.1") {
			t.Errorf("the second was told %+v", list)
		}
		time.Sleep(time.Hour)
		if !a.has(t, 0, "10.1.2.1") || len(a.told[1].of(control.EventAddressReplaced)) != 1 {
			t.Error("it goes on")
		}
		a.stop()
	})
}

// Addresses that their users insist on stay, and both members name the other one, in the
// log and as long as it is so.
func TestDuplicateStatics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 52)
		defer w.Close()
		a := newApart(t, w, edge.AddressStatic)
		a.together()
		time.Sleep(3 * time.Minute)
		for i := range 2 {
			other := []string{"second", "first"}[i]
			if !a.has(t, i, "10.1.2.1") {
				t.Errorf("member %d has %v", i, a.edges[i].status().Prefixes)
			}
			if list := a.told[i].of(control.EventAddressTwice); len(list) != 1 || list[0].Peer.Name != other {
				t.Errorf("member %d was told %+v", i, list)
			}
			if notes := strings.Join(a.edges[i].status().Notes, "|"); !strings.Contains(notes, other) || !strings.Contains(notes, "10.1.2.1 as well") {
				t.Errorf("member %d says %q", i, notes)
			}
		}
		a.edges[1].Stop()
		time.Sleep(30 * time.Minute) // it is asked for again with the next session
		if notes := a.edges[0].status().Notes; len(notes) != 0 {
			t.Errorf("the other one is gone, and the first says %q", notes)
		}
		a.edges[0].Stop()
	})
}
