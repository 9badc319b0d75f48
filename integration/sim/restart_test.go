package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// couple is two edges behind routers of their own, with a flow each way.
type couple struct {
	*World
	sn          *Supernode
	routers     [2]*nattest.Router
	left, right *Edge
	there, back *Flow
	sinks       [2]Sink
}

// newCouple returns two edges that have just started.
func newCouple(t *testing.T, a, b nattest.Behavior) *couple {
	c := &couple{World: New(t, 7)}
	c.sn = c.Supernode(supernodeAddr)
	c.routers[0] = c.Net.Router(netip.MustParseAddr("198.51.100.1"), a)
	c.routers[1] = c.Net.Router(netip.MustParseAddr("198.51.100.2"), b)
	c.left = c.Edge(c.routers[0].Host(netip.MustParseAddr("192.168.1.2")),
		Options{Name: "left", Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[0].Deliver, State: true})
	c.right = c.Edge(c.routers[1].Host(netip.MustParseAddr("192.168.1.2")),
		Options{Name: "right", Supernodes: []*Supernode{c.sn}, Deliver: c.sinks[1].Deliver, State: true})
	c.there = c.Flow(c.left, c.right.MAC, &c.sinks[1])
	c.back = c.Flow(c.right, c.left.MAC, &c.sinks[0])
	return c
}

// end stops what a couple has running.
func (c *couple) end() {
	c.left.Stop()
	c.right.Stop()
	c.sn.Stop()
	c.Close()
}

// both sends frames both ways for a time.
func (c *couple) both(d, every time.Duration) {
	for range d / every {
		c.there.Send()
		c.back.Send()
		time.Sleep(every)
	}
}

// whole fails the test if a frame of either flow from the given number on was
// lost, or any was delivered twice.
func (c *couple) whole(t *testing.T, from int) {
	t.Helper()
	for _, f := range []*Flow{c.there, c.back} {
		if lost := f.Lost(from, f.Len()); len(lost) > 0 {
			t.Errorf("lost %s", brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
	}
}

// ends is how a program comes to its end.
var ends = []struct {
	name      string
	supernode func(*Supernode)
	edge      func(*Edge)
}{
	{"stopped", (*Supernode).Stop, (*Edge).Stop},
	{"killed", (*Supernode).Kill, (*Edge).Kill},
}

// A direct path does not notice that the supernode restarts.
func TestSupernodeRestartDirect(t *testing.T) {
	for _, end := range ends {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t, nattest.PortRestricted, nattest.PortRestricted)
				time.Sleep(time.Second)
				c.both(5*time.Second, 50*time.Millisecond)
				if p := pathTo(t, c.left, c.right); p != control.PathDirect {
					t.Fatalf("the path is %s", p)
				}
				before := [][]netip.Prefix{c.left.Device.Addresses(), c.right.Device.Addresses()}
				first := c.there.Len()
				c.both(10*time.Second, 10*time.Millisecond)
				for _, away := range []time.Duration{2 * time.Second, 20 * time.Second} {
					end.supernode(c.sn)
					c.both(away, 10*time.Millisecond)
					c.sn.Start()
					c.both(15*time.Second, 10*time.Millisecond)
				}
				c.both(38*time.Second, 10*time.Millisecond)
				time.Sleep(time.Second)
				if n := c.there.Len() - first; n < 10_000 {
					t.Fatalf("%d frames are too few", n)
				}
				c.whole(t, first)
				after := [][]netip.Prefix{c.left.Device.Addresses(), c.right.Device.Addresses()}
				if fmt.Sprint(before) != fmt.Sprint(after) {
					t.Errorf("leases were %v and are %v", before, after)
				}
				if st := c.sn.Server.Status(); st.Edges != 2 || st.Leases != 2 {
					t.Errorf("the supernode knows %d edges and %d leases", st.Edges, st.Leases)
				}
				c.end()
			})
		})
	}
}

// Relayed traffic resumes within a second of the supernode listening again, and
// a lease is what it was, also for an edge that starts after the supernode.
func TestSupernodeRestartRelayed(t *testing.T) {
	t.Parallel()
	for _, end := range some(ends...) {
		for _, away := range []time.Duration{0, 100 * time.Millisecond, time.Second, 5 * time.Second, 30 * time.Second, 100 * time.Second, 5 * time.Minute} {
			t.Run(fmt.Sprint(end.name, " for ", away), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCouple(t, nattest.Symmetric, nattest.Symmetric)
					time.Sleep(time.Second)
					c.both(10*time.Second, 50*time.Millisecond)
					leases := fmt.Sprint(c.left.Device.Addresses(), c.right.Device.Addresses())
					end.supernode(c.sn)
					c.both(away, 20*time.Millisecond)
					c.sn.Start()
					up, n := time.Now(), c.there.Len()
					c.both(10*time.Second, 20*time.Millisecond)
					time.Sleep(time.Second)
					for _, f := range []*Flow{c.there, c.back} {
						if d := f.Resumed(up); d > time.Second {
							t.Errorf("resumed after %v", d)
						}
					}
					c.whole(t, n+100)
					end.edge(c.left)
					c.left.Start()
					time.Sleep(2 * time.Second)
					if now := fmt.Sprint(c.left.Device.Addresses(), c.right.Device.Addresses()); now != leases {
						t.Errorf("leases were %v and are %v", leases, now)
					}
					c.end()
				})
			})
		}
	}
}

// An edge that is killed and started anew has traffic again in less than two
// seconds, with the same addresses, every time.
func TestEdgeRestart(t *testing.T) {
	t.Parallel()
	for _, b := range []nattest.Behavior{nattest.PortRestricted, nattest.Symmetric, nattest.FullCone} {
		for _, end := range ends {
			t.Run(fmt.Sprintf("%v %s", b.Mapping, end.name), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { edgeRestart(t, b, end.edge) })
			})
		}
	}
}

func edgeRestart(t *testing.T, b nattest.Behavior, end func(*Edge)) {
	c := newCouple(t, b, b)
	time.Sleep(time.Second)
	c.both(10*time.Second, 50*time.Millisecond)
	leases, mac := c.left.Device.Addresses(), c.left.MAC
	var slowest time.Duration
	restarts := 20
	if race {
		restarts = 6 // two of each kind
	}
	for i := range restarts {
		end(c.left)
		if i%3 > 0 { // at once, after a moment, after a while
			f := c.back
			f.For([]time.Duration{0, 300 * time.Millisecond, 20 * time.Second}[i%3], 50*time.Millisecond)
		}
		c.left.Start()
		up := time.Now()
		c.both(8*time.Second, 50*time.Millisecond)
		for _, f := range []*Flow{c.there, c.back} {
			d := f.Resumed(up)
			slowest = max(slowest, d)
			if d >= 2*time.Second {
				t.Errorf("restart %d: resumed after %v", i, d)
			}
		}
		if now := c.left.Device.Addresses(); !slices.Equal(now, leases) || c.left.MAC != mac {
			t.Errorf("restart %d: had %v %v, has %v %v", i, leases, mac, now, c.left.MAC)
		}
	}
	t.Log("slowest", slowest)
	for _, f := range []*Flow{c.there, c.back} {
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
	}
	c.end()
}

// With two supernodes the death of one ends nothing: neither for edges that know
// both, nor for those that know only the other one.
func TestTwoSupernodes(t *testing.T) {
	t.Parallel()
	for _, end := range some(ends...) {
		t.Run(end.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { twoSupernodes(t, end.supernode) })
		})
	}
}

func twoSupernodes(t *testing.T, end func(*Supernode)) {
	w := New(t, 8)
	defer w.Close()
	one, two := w.Supernode(supernodeAddr), w.Supernode(netip.MustParseAddr("203.0.113.2"))
	var sinks [4]Sink
	var edges []*Edge
	for i, known := range [][]*Supernode{{one, two}, {one, two}, {one}, {two}} {
		r := w.Net.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + i)}), nattest.Symmetric)
		edges = append(edges, w.Edge(r.Host(netip.MustParseAddr("192.168.1.2")),
			Options{Name: fmt.Sprint("edge", i), Supernodes: known, Deliver: sinks[i].Deliver}))
	}
	flow := func(from, to int) *Flow { return w.Flow(edges[from], edges[to].MAC, &sinks[to]) }
	// both know both; one end knows the first only; one end the second only
	flows := []*Flow{flow(0, 1), flow(1, 0), flow(0, 2), flow(2, 0), flow(1, 3), flow(3, 1)}
	send := func(d time.Duration) {
		for range d / (20 * time.Millisecond) {
			for _, f := range flows {
				f.Send()
			}
			time.Sleep(20 * time.Millisecond)
		}
	}
	whole := func(when string, from int, list ...*Flow) {
		t.Helper()
		time.Sleep(100 * time.Millisecond)
		for i, f := range list {
			if lost := f.Lost(from, f.Len()); len(lost) > 0 {
				t.Errorf("%s: flow %d lost %s", when, i, brief(lost))
			}
		}
	}
	time.Sleep(time.Second)
	send(20 * time.Second)
	whole("at first", 0, flows...)
	for i, s := range []*Supernode{one, two} {
		n, died := flows[0].Len(), time.Now()
		end(s)
		send(20 * time.Second)
		others := [][]*Flow{flows[4:], flows[2:4]}[i]
		whole("without one of them", n, others...)
		for k, f := range flows[:2] {
			if d := f.Resumed(died.Add(100 * time.Millisecond)); d > 2*time.Second {
				t.Errorf("supernode %d dead: flow %d resumed after %v", i, k, d)
			}
		}
		s.Start()
		up := time.Now()
		send(20 * time.Second)
		for k, f := range [][]*Flow{flows[2:4], flows[4:]}[i] {
			if d := f.Resumed(up); d > time.Second {
				t.Errorf("supernode %d up again: flow %d resumed after %v", i, k, d)
			}
		}
	}
	n := flows[0].Len()
	send(10 * time.Second)
	whole("at last", n, flows...)
	for _, f := range flows {
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
	}
	for _, e := range edges {
		e.Stop()
	}
	one.Stop()
	two.Stop()
}

// An edge that starts anew while the supernode is away has its addresses at once, and keeps
// them when the supernode is back.
func TestAddressesWithoutSupernode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.PortRestricted, nattest.PortRestricted)
		defer c.end()
		time.Sleep(10 * time.Second) // until the state is written
		had := c.right.Device.Addresses()
		if !slices.ContainsFunc(had, func(p netip.Prefix) bool { return p.Addr().Is4() }) {
			t.Fatalf("it has %v", had)
		}
		c.sn.Kill()
		c.right.Kill()
		c.right.Start()
		time.Sleep(10 * time.Millisecond)
		if got := c.right.Device.Addresses(); !slices.Equal(got, had) {
			t.Errorf("it had %v, and has %v without a supernode", had, got)
		}
		c.sn.Start()
		time.Sleep(15 * time.Second)
		if got := c.right.Device.Addresses(); !slices.Equal(got, had) {
			t.Errorf("it had %v, and has %v with the supernode", had, got)
		}
	})
}
