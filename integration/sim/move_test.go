package sim

import (
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// A supernode moves and its name with it: the edges find it where it is now, and
// relayed traffic goes on within seconds; a direct path does not notice.
func TestSupernodeMoves(t *testing.T) {
	for _, c := range []struct {
		name   string
		router nattest.Behavior
		within time.Duration
	}{{"relayed", nattest.Symmetric, 6 * time.Second}, {"direct", nattest.PortRestricted, 0}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 21)
				defer w.Close()
				sn := w.Supernode(supernodeAddr)
				var sinks [2]Sink
				o, rename := named(sn)
				left := w.Edge(behind(c.router)(w.Net, 0), with(o, "left", &sinks[0]))
				right := w.Edge(behind(c.router)(w.Net, 1), with(o, "right", &sinks[1]))
				time.Sleep(500 * time.Millisecond)
				ping := w.Flow(left, right.MAC, &sinks[1])
				ping.For(10*time.Second, 100*time.Millisecond)
				before := ping.Len()
				to := netip.MustParseAddr("203.0.113.77")
				rename(to)
				sn.Move(to)
				moved := time.Now()
				ping.For(20*time.Second, 100*time.Millisecond)
				time.Sleep(time.Second)
				if lost := ping.Lost(0, before); len(lost) > 0 {
					t.Errorf("lost before: %s", brief(lost))
				}
				lost := ping.Lost(before, ping.Len())
				if most := int(c.within / (100 * time.Millisecond)); len(lost) > most {
					t.Errorf("lost %s", brief(lost))
				}
				if d := ping.Resumed(moved); d > c.within+200*time.Millisecond {
					t.Errorf("goes on after %v", d)
				}
				t.Logf("%d lost, goes on after %v", len(lost), ping.Resumed(moved))
				left.Stop()
				right.Stop()
				sn.Stop()
			})
		})
	}
}

// supernodes returns where an edge is registered.
func supernodes(e *Edge) (list []string) {
	e.world.tb.Helper()
	for _, n := range e.status().Supernodes {
		if n.State == control.StateRegistered {
			list = append(list, n.Addr)
		}
	}
	return list
}

// A name comes to stand for another supernode, and the old one goes on. Edges that start
// then register at the new one, and the others within a rekey as well, so that all meet;
// what is relayed by the old one goes on, and when that ends by the new one.
func TestNameMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 22)
		defer w.Close()
		before, after := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.77")
		old := w.Supernode(before)
		o, rename := named(old)
		var sinks [3]Sink
		left := w.Edge(behind(nattest.Symmetric)(w.Net, 0), with(o, "left", &sinks[0]))
		mid := w.Edge(behind(nattest.Symmetric)(w.Net, 1), with(o, "mid", &sinks[1]))
		time.Sleep(time.Second)
		ping := w.Flow(left, mid.MAC, &sinks[1])
		ping.For(5*time.Second, 100*time.Millisecond)

		newer := old.Copy(after)
		rename(after)
		right := w.Edge(behind(nattest.Symmetric)(w.Net, 2), with(o, "right", &sinks[2]))
		ping.For(1000*time.Second, 500*time.Millisecond)
		if got, want := supernodes(left), []string{"203.0.113.1:7654", "203.0.113.77:7654"}; !slices.Equal(got, want) {
			t.Errorf("registered at %v, want %v", got, want)
		}
		late := w.Flow(left, right.MAC, &sinks[2])
		late.For(20*time.Second, 100*time.Millisecond)
		time.Sleep(time.Second)
		if lost := late.Lost(late.Len()-100, late.Len()); len(lost) > 0 {
			t.Errorf("to who came later, lost %s", brief(lost))
		}
		if lost := ping.Lost(0, ping.Len()); len(lost) > 0 {
			t.Errorf("by the old supernode, lost %s", brief(lost))
		}

		at := ping.Len()
		old.Stop()
		stopped := time.Now()
		ping.For(30*time.Second, 100*time.Millisecond)
		time.Sleep(time.Second)
		lost := ping.Lost(at, ping.Len())
		t.Logf("after the old one ended: %d lost, goes on after %v", len(lost), ping.Resumed(stopped))
		if len(lost) > 40 {
			t.Errorf("after the old one ended, lost %s", brief(lost))
		}
		if got, want := supernodes(left), []string{"203.0.113.77:7654"}; !slices.Equal(got, want) {
			t.Errorf("at last registered at %v, want %v", got, want)
		}
		for _, e := range []*Edge{left, mid, right} {
			e.Stop()
		}
		newer.Stop()
	})
}

// A name comes to stand for another address of the same supernode, and back, again and
// again, as where a name server rotates them: an edge registers at the other one, leaves the
// first, and the user is told of each address once.
func TestNameRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 23)
		defer w.Close()
		addrs := []netip.Addr{netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("2001:db8::77")}
		sn := w.Supernode(addrs...)
		o, rename := named(sn)
		var told events
		o.Report = told.add
		e := w.Edge(w.Net.Host(netip.MustParseAddr("198.51.100.200"), netip.MustParseAddr("2001:db8::200")), o)
		time.Sleep(time.Second)
		for i := range 4 {
			at := addrs[(i+1)%2]
			rename(at)
			time.Sleep(899 * time.Second)
			for n := range 50 {
				time.Sleep(2 * time.Second)
				want := []string{netip.AddrPortFrom(at, 7654).String()}
				if got := supernodes(e); n > 4 && !slices.Equal(got, want) {
					t.Fatalf("turn %d: registered at %v, want %v", i, got, want)
				}
			}
		}
		checkCount(t, "moves told", len(told.of(control.EventNameMoved)), 2)
		checkCount(t, "losses told", len(told.of(control.EventSupernodeLost)), 0)
		e.Stop()
		sn.Stop()
	})
}

// A name comes to stand for a supernode with another key, or for a host that is none: the
// old one serves on, the user is told, and health is not ok.
func TestNameMovesToStranger(t *testing.T) {
	for _, stranger := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			w := New(t, 24)
			defer w.Close()
			before, after := netip.MustParseAddr("203.0.113.1"), netip.MustParseAddr("203.0.113.77")
			sn := w.Supernode(before)
			o, rename := named(sn)
			var told events
			o.Report = told.add
			e := w.Edge(w.Net.Host(netip.MustParseAddr("198.51.100.200")), o)
			time.Sleep(time.Second)
			if stranger {
				defer w.Supernode(after).Stop()
			}
			rename(after)
			time.Sleep(1000 * time.Second)
			if got := supernodes(e); !slices.Equal(got, []string{"203.0.113.1:7654"}) || !e.says("[E53]") {
				t.Errorf("registered at %v, notes %q", got, e.status().Notes)
			}
			if len(told.of(control.EventNameMoved)) != 1 || len(told.of(control.EventSupernodeLost))+len(told.of(control.EventNoAnswer)) != 0 {
				t.Error("the user was not told, or of a loss")
			}
			rename(before)
			time.Sleep(1000 * time.Second)
			if got := supernodes(e); !slices.Equal(got, []string{"203.0.113.1:7654"}) || e.says("[E53]") {
				t.Errorf("in the end registered at %v, notes %q", got, e.status().Notes)
			}
			e.Stop()
			sn.Stop()
		})
	}
}

// named returns options for edges that know a supernode by a name, and what has the name
// stand for another address from then on.
func named(s *Supernode) (o Options, rename func(netip.Addr)) {
	at := s.Addr.Addr()
	var now atomic.Pointer[netip.Addr]
	now.Store(&at)
	o = Options{Supernodes: []*Supernode{s}, Around: Around{Names: func() netip.Addr { return *now.Load() }}}
	return o, func(a netip.Addr) { now.Store(&a) }
}

// with returns options for one edge.
func with(o Options, name string, sink *Sink) Options {
	o.Name, o.Deliver = name, sink.Deliver
	return o
}
