package sim

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// roaming is an edge that changes its network and one that does not, each behind a
// router.
type roaming struct {
	*World
	t           *testing.T
	sn          *Supernode
	routers     [2]*nattest.Router
	moved, kept *Edge
	there, back *Flow
	sinks       [2]Sink
}

func newRoaming(t *testing.T, b nattest.Behavior, around Around) *roaming {
	r := &roaming{World: New(t, 81), t: t}
	r.sn = r.SupernodeWith(Beside{Streams: true}, supernodeAddr)
	for i, e := range []**Edge{&r.kept, &r.moved} {
		r.routers[i] = r.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), b)
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{r.sn}, Deliver: r.sinks[i].Deliver, Address: none}
		if i == 1 {
			o.Around = around
		} else {
			o.Around.LAN = around.LAN
		}
		*e = r.Edge(r.routers[i].Host(netip.MustParseAddr("192.168.1.2")), o)
		time.Sleep(stagger)
	}
	r.there, r.back = r.Flow(r.moved, r.kept.MAC, &r.sinks[0]), r.Flow(r.kept, r.moved.MAC, &r.sinks[1])
	time.Sleep(time.Second)
	return r
}

func (r *roaming) both(d, every time.Duration) {
	for range d / every {
		r.there.Send()
		r.back.Send()
		time.Sleep(every)
	}
}

func (r *roaming) direct() bool {
	return pathTo(r.t, r.moved, r.kept) == control.PathDirect && pathTo(r.t, r.kept, r.moved) == control.PathDirect
}

// untilDirect sends until both ends are direct and what else has to hold does, and
// returns how long that took.
func (r *roaming) untilDirect(limit time.Duration, also func() bool) time.Duration {
	r.t.Helper()
	begun := time.Now()
	for !r.direct() || also != nil && !also() {
		if time.Since(begun) > limit {
			r.t.Fatalf("not direct within %v: %+v and %+v", limit, wayTo(r.t, r.moved, r.kept), wayTo(r.t, r.kept, r.moved))
		}
		r.both(20*time.Millisecond, 20*time.Millisecond)
	}
	return time.Since(begun)
}

// gaps fails the test for a pause of either flow since a moment.
func (r *roaming) gaps(since time.Time, most time.Duration) {
	r.t.Helper()
	for i, f := range []*Flow{r.there, r.back} {
		gap := f.Gap(since)
		r.t.Logf("flow %d: a gap of %v", i, gap)
		if gap > most {
			r.t.Errorf("flow %d: a gap of %v, want %v at most", i, gap, most)
		}
	}
}

func (r *roaming) end() {
	r.moved.Stop()
	r.kept.Stop()
	r.sn.Stop()
	r.Close()
}

// In mid-traffic a host gets another address, another router, a public address, the
// other end's LAN, and comes back. Where its edge is told of that, frames go on
// within 0.7 s and directly within one; where it is not, within two and ten.
func TestRoam(t *testing.T) {
	for _, watch := range []bool{true, false} {
		t.Run(fmt.Sprint("told ", watch), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRoaming(t, nattest.PortRestricted, Around{Watch: watch, LAN: true})
				defer r.end()
				hotel := r.Net.Router(netip.MustParseAddr("198.51.100.77"), nattest.PortRestricted)
				host := r.moved.host
				r.untilDirect(5*time.Second, nil)
				for _, move := range []struct {
					name string
					to   func()
					at   string // where the other end sees it; empty: anywhere
				}{
					{"another lease", func() { host.SetAddresses(netip.MustParseAddr("192.168.1.9")) }, "198.51.100.2"},
					{"another router", func() { hotel.LAN().Move(host, netip.MustParseAddr("10.0.0.7")) }, "198.51.100.77"},
					{"no router", func() { r.Net.Move(host, netip.MustParseAddr("198.51.100.99")) }, "198.51.100.99"},
					{"the other's LAN", func() { r.routers[0].LAN().Move(host, netip.MustParseAddr("192.168.1.7")) }, "192.168.1.7"},
					{"home", func() { r.routers[1].LAN().Move(host, netip.MustParseAddr("192.168.1.2")) }, "198.51.100.2"},
				} {
					r.both(5*time.Second, 20*time.Millisecond)
					at, n := time.Now(), r.there.Len()
					move.to()
					took := r.untilDirect(40*time.Second, func() bool {
						return strings.HasPrefix(wayTo(t, r.kept, r.moved).Endpoint, move.at+":")
					})
					r.both(5*time.Second, 20*time.Millisecond)
					t.Logf("%s: direct after %v", move.name, took)
					if watch { // a quarter of a second after the event
						within(t, move.name, took, 0, time.Second)
						r.gaps(at, 700*time.Millisecond)
					} else {
						within(t, move.name, took, 0, 10*time.Second)
						r.gaps(at, 2*time.Second)
					}
					time.Sleep(200 * time.Millisecond)
					for _, f := range []*Flow{r.there, r.back} {
						if lost := f.Lost(n+150, f.Len()); len(lost) > 0 {
							t.Errorf("%s: lost %s", move.name, brief(lost))
						}
						if twice := f.Twice(); len(twice) > 0 {
							t.Errorf("%s: delivered twice %s", move.name, brief(twice))
						}
					}
				}
			})
		})
	}
}

// A host moves to a network that blocks UDP, where only streams pass, and back.
func TestRoamToBlockedUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var path StreamPath
		r := newRoaming(t, nattest.PortRestricted, Around{Watch: true, Streams: &path})
		defer r.end()
		host := r.moved.host
		hotel := r.Net.Router(netip.MustParseAddr("198.51.100.77"), nattest.PortRestricted)
		r.untilDirect(5*time.Second, nil)
		for range 2 {
			r.both(10*time.Second, 20*time.Millisecond)
			at := time.Now()
			host.BlockUDP(true)
			hotel.LAN().Move(host, netip.MustParseAddr("10.0.0.7"))
			r.both(30*time.Second, 20*time.Millisecond)
			r.gaps(at, 1500*time.Millisecond)
			if way := wayTo(t, r.moved, r.kept); way.Path != control.PathRelay || way.Kind != control.KindTLS {
				t.Errorf("the way is %+v", way)
			}
			at = time.Now()
			host.BlockUDP(false)
			r.routers[1].LAN().Move(host, netip.MustParseAddr("192.168.1.2"))
			took := r.untilDirect(10*time.Second, nil)
			t.Logf("direct again after %v", took)
			r.both(5*time.Second, 20*time.Millisecond)
			r.gaps(at, time.Second)
		}
	})
}

// Two ends behind NATs that give every destination another port are direct where
// one router maps a port for the asking. When it stops to, or maps another one,
// frames go on within two seconds.
func TestPortMapping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoaming(t, nattest.Symmetric, Around{Map: true})
		defer r.end()
		router := r.routers[1]
		took := r.untilDirect(3*time.Second, nil)
		t.Logf("direct after %v", took)
		if way := wayTo(t, r.kept, r.moved); way.Kind != "mapped" {
			t.Errorf("the way is %+v", way)
		}
		mapped := func() string { return wayTo(t, r.kept, r.moved).Endpoint }
		first := mapped()
		r.both(2*time.Minute, 50*time.Millisecond)

		at := time.Now()
		router.Remap()
		took = r.untilDirect(10*time.Second, func() bool { return mapped() != first })
		t.Logf("by another port after %v", took)
		within(t, "another port", took, 0, 2500*time.Millisecond)
		r.both(10*time.Second, 20*time.Millisecond)
		r.gaps(at, 2*time.Second)

		at = time.Now()
		router.SetMapping(false)
		r.both(20*time.Second, 20*time.Millisecond)
		r.gaps(at, 2*time.Second)
		if r.direct() {
			t.Errorf("direct without the mapping: %+v", wayTo(t, r.kept, r.moved))
		}
		router.SetMapping(true)
		at = time.Now()
		took = r.untilDirect(10*time.Second, nil)
		t.Logf("direct again after %v", took)
		router.SetAddr(netip.MustParseAddr("198.51.100.88"))
		took = r.untilDirect(20*time.Second, func() bool { return strings.HasPrefix(mapped(), "198.51.100.88:") })
		t.Logf("by the line's new address after %v", took)
		within(t, "the line's new address", took, 0, 2500*time.Millisecond)
		r.gaps(at, 2*time.Second)
		if c, err := r.moved.Edge.Counters(context.Background()); err != nil || len(c.Queues) != 1 {
			t.Errorf("%+v: %v", c, err)
		}
	})
}

// A member that was met on a LAN has moved away: its session is renewed where it is
// now, and not where it was met, also while no supernode answers.
func TestRekeyAfterLANIsLeft(t *testing.T) {
	for _, mover := range []int{0, 1} {
		t.Run(fmt.Sprint("edge ", mover), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNeighbours(t, true)
				defer n.end()
				watch := func(o *Options) { o.Around.Watch = true }
				n.join(watch)
				n.join(watch)
				there, back := n.flow(0, 1), n.flow(1, 0)
				both := func(d time.Duration) {
					for range d / (50 * time.Millisecond) {
						there.Send()
						back.Send()
						time.Sleep(50 * time.Millisecond)
					}
				}
				both(5 * time.Second)
				if !n.lanDirect(0, 1) {
					t.Fatalf("the way is %+v", wayTo(t, n.edges[0], n.edges[1]))
				}
				n.sn.Start()
				both(30 * time.Second)
				hotel := n.Net.Router(netip.MustParseAddr("198.51.100.77"), nattest.PortRestricted)
				hotel.LAN().Move(n.edges[mover].host, netip.MustParseAddr("10.0.0.7"))
				both(20 * time.Second)
				n.sn.Stop()
				both(5 * time.Second)
				if p := pathTo(t, n.edges[0], n.edges[1]); p != control.PathDirect {
					t.Fatalf("the path is %s", p)
				}
				first, since := there.Len(), time.Now()
				both(10 * time.Minute)
				time.Sleep(time.Second)
				for _, f := range []*Flow{there, back} {
					if lost := f.Lost(first, f.Len()); len(lost) > 0 {
						t.Errorf("lost %s, a gap of %v", brief(lost), f.Gap(since))
					}
				}
			})
		})
	}
}
