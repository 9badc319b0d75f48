package sim

import (
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// place is where an edge may be: it makes the host there.
type place struct {
	name string
	host func(n *nattest.Internet, side int) *nattest.Host
}

// behind is a LAN behind a router of its own.
func behind(b nattest.Behavior) func(*nattest.Internet, int) *nattest.Host {
	return func(n *nattest.Internet, side int) *nattest.Host {
		return n.Router(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + side)}), b).Host(netip.MustParseAddr("192.168.1.2"))
	}
}

func public4(n *nattest.Internet, side int) *nattest.Host {
	return n.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + side)}))
}

func public6(n *nattest.Internet, side int) *nattest.Host {
	return n.Host(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(1 + side)}))
}

func dual(n *nattest.Internet, side int) *nattest.Host {
	return n.Host(netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + side)}), netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 15: byte(1 + side)}))
}

var (
	openInput = nattest.Behavior{Filtering: nattest.AddressAndPortDependentFiltering, PortPreserving: true, OpenInput: true}

	restricted = nattest.Behavior{Filtering: nattest.AddressDependentFiltering}

	block    = nattest.Behavior{Mapping: nattest.AddressAndPortDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering, RandomPorts: true, Block: 512}
	sequence = nattest.Behavior{Mapping: nattest.AddressAndPortDependentMapping, Filtering: nattest.AddressAndPortDependentFiltering}

	places = []place{
		{"public", public4},
		{"full cone", behind(nattest.FullCone)},
		{"restricted", behind(restricted)},
		{"port-restricted", behind(nattest.PortRestricted)},
		{"open input", behind(openInput)},
		{"symmetric", behind(nattest.Symmetric)},
		{"block", behind(block)},
		{"sequence", behind(sequence)},
		{"dual stack", dual},
		{"IPv6", public6},
	}
)

// directly says which pairs of places can be connected directly (docs/NAT.md):
// not two NATs that give every destination another port, unless both do so in
// sequence, and no family with the other.
func directly(a, b string) bool {
	for _, p := range [][2]string{{a, b}, {b, a}} {
		if p[0] == "IPv6" && p[1] != "IPv6" && p[1] != "dual stack" {
			return false
		}
	}
	hard := map[string]bool{"symmetric": true, "block": true, "sequence": true}
	return !hard[a] || !hard[b] || a == "sequence" && b == "sequence"
}

// Every pair of places: 200 pings from the first moment on, of which none is
// lost where the path stays relayed, and the path that there must be after 5 s.
func TestPaths(t *testing.T) {
	t.Parallel()
	for i, a := range places {
		for _, b := range places[i:] {
			t.Run(a.name+" and "+b.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { checkPath(t, a, b) })
			})
		}
	}
}

func checkPath(t *testing.T, a, b place) {
	w := New(t, 11)
	defer w.Close()
	sn := w.Supernode(supernodeAddr, netip.MustParseAddr("2001:db8:ffff::1"))
	var sinks [2]Sink
	left := w.Edge(a.host(w.Net, 0), Options{Name: "left", Supernodes: []*Supernode{sn}, Deliver: sinks[0].Deliver})
	right := w.Edge(b.host(w.Net, 1), Options{Name: "right", Supernodes: []*Supernode{sn}, Deliver: sinks[1].Deliver})
	time.Sleep(500 * time.Millisecond)
	ping, pong := w.Flow(left, right.MAC, &sinks[1]), w.Flow(right, left.MAC, &sinks[0])
	sinks[1].answer = func(*Flow, uint64) { pong.Send() }
	begun := time.Now()
	ping.For(5*time.Second, 100*time.Millisecond)
	want := control.PathRelay
	if directly(a.name, b.name) {
		want = control.PathDirect
	}
	if there, back := pathTo(t, left, right), pathTo(t, right, left); there != want || back != want {
		t.Errorf("the paths after 5 s are %s and %s, want %s", there, back, want)
	}
	if !race {
		ping.For(15*time.Second, 100*time.Millisecond)
	}
	time.Sleep(time.Second)
	for _, f := range []*Flow{ping, pong} {
		if lost := f.Lost(0, f.Len()); len(lost) > 0 {
			t.Errorf("lost %s", brief(lost))
		}
		if twice := f.Twice(); len(twice) > 0 {
			t.Errorf("delivered twice: %s", brief(twice))
		}
		if d := f.Resumed(begun); d > 100*time.Millisecond {
			t.Errorf("the first frame took %v", d)
		}
	}
	left.Stop()
	right.Stop()
	sn.Stop()
}

// Two edges behind one router reach each other inside the LAN, also when it
// does not do hairpins and whatever it does to the outside.
func TestSameLAN(t *testing.T) {
	for _, b := range []nattest.Behavior{nattest.PortRestricted, nattest.Symmetric, {Hairpin: true}} {
		synctest.Test(t, func(t *testing.T) {
			router := func(n *nattest.Internet) *nattest.Router {
				return n.Router(netip.MustParseAddr("198.51.100.1"), b)
			}
			var r *nattest.Router
			in := func(addr string) place {
				return place{"LAN", func(n *nattest.Internet, side int) *nattest.Host {
					if side == 0 {
						r = router(n)
					}
					return r.Host(netip.MustParseAddr(addr))
				}}
			}
			checkPath(t, in("192.168.1.2"), in("192.168.1.3"))
		})
	}
}

// carriers are the routers behind which a direct path is to be kept.
var carriers = map[string]nattest.Behavior{
	"port-restricted": nattest.PortRestricted,
	"full cone":       nattest.FullCone,
	"random ports":    {Filtering: nattest.AddressAndPortDependentFiltering, RandomPorts: true},
}

// interruptions are what may happen to a direct path. Frames go on within 2 s by
// relay, and the path is direct again within 5 s where that is still possible.
var interruptions = []struct {
	name   string
	happen func(c *couple)
	direct time.Duration // again after this time; 0 = not
}{
	{"one NAT reboots", func(c *couple) { c.routers[0].Reboot() }, 5 * time.Second},
	{"both NATs reboot", func(c *couple) { c.routers[0].Reboot(); c.routers[1].Reboot() }, 5 * time.Second},
	{"a line gets another address", func(c *couple) { c.routers[1].SetAddr(netip.MustParseAddr("198.51.100.77")) }, 5 * time.Second},
	{"the direct way dies", func(c *couple) { c.cut() }, 0},
	{"the direct way dies in one direction", func(c *couple) { c.cutOneWay() }, 0},
}

// cut makes the internet drop what does not go to or come from the supernode.
func (c *couple) cut() {
	c.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool { return from != c.sn.Addr && to != c.sn.Addr })
}

func (c *couple) cutOneWay() {
	c.Net.SetDrop(func(from, to netip.AddrPort, _ []byte) bool {
		return to != c.sn.Addr && from.Addr() == netip.MustParseAddr("198.51.100.1")
	})
}

func TestInterruptions(t *testing.T) {
	t.Parallel()
	for name, b := range carriers {
		for _, i := range interruptions {
			t.Run(name+", "+i.name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCouple(t, b, b)
					defer c.end()
					time.Sleep(time.Second)
					for range some(1, 2, 3) {
						c.both(10*time.Second, 20*time.Millisecond)
						c.interrupt(t, i.happen, i.direct)
					}
				})
			})
		}
	}
}

// interrupt lets something happen to a direct path and checks what follows.
func (c *couple) interrupt(t *testing.T, happen func(*couple), direct time.Duration) {
	t.Helper()
	if there, back := pathTo(t, c.left, c.right), pathTo(t, c.right, c.left); there != control.PathDirect || back != there {
		t.Fatalf("before: %s and %s", there, back)
	}
	n, since := c.there.Len(), time.Now()
	happen(c)
	if direct > 0 {
		c.both(direct, 20*time.Millisecond)
		if there, back := pathTo(t, c.left, c.right), pathTo(t, c.right, c.left); there != control.PathDirect || back != there {
			t.Errorf("after %v: %s and %s", direct, there, back)
		}
	}
	c.both(10*time.Second, 20*time.Millisecond)
	time.Sleep(100 * time.Millisecond)
	for _, f := range []*Flow{c.there, c.back} {
		if gap := f.Gap(since); gap > 2*time.Second {
			t.Errorf("a gap of %v", gap)
		}
	}
	c.whole(t, n+150)
	c.Net.SetDrop(nil)
	healed := time.Now()
	for pathTo(t, c.left, c.right) != control.PathDirect || pathTo(t, c.right, c.left) != control.PathDirect {
		c.both(100*time.Millisecond, 20*time.Millisecond)
		if time.Since(healed) > time.Minute {
			t.Errorf("not direct again after a minute")
			return
		}
	}
	t.Log("direct again after", time.Since(healed))
}

// A relayed pair whose NATs forget everything goes on within 2 s.
func TestRelayedInterruptions(t *testing.T) {
	for _, i := range interruptions[:3] {
		t.Run(i.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t, nattest.Symmetric, nattest.Symmetric)
				defer c.end()
				time.Sleep(time.Second)
				c.both(20*time.Second, 20*time.Millisecond)
				n, since := c.there.Len(), time.Now()
				i.happen(c)
				c.both(20*time.Second, 20*time.Millisecond)
				time.Sleep(100 * time.Millisecond)
				for _, f := range []*Flow{c.there, c.back} {
					if gap := f.Gap(since); gap > 2*time.Second {
						t.Errorf("a gap of %v", gap)
					}
				}
				c.whole(t, n+100)
			})
		})
	}
}

// A pair that is silent for long finds each other again at the first frame.
func TestIdlePair(t *testing.T) {
	for _, quiet := range []time.Duration{30 * time.Second, 2 * time.Minute, 4 * time.Minute, 11 * time.Minute, time.Hour} {
		for _, b := range []nattest.Behavior{nattest.PortRestricted, nattest.Symmetric} {
			t.Run(fmt.Sprint(quiet, b.Mapping), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := newCouple(t, b, b)
					defer c.end()
					time.Sleep(time.Second)
					c.both(10*time.Second, 50*time.Millisecond)
					n := c.there.Len()
					time.Sleep(quiet)
					c.both(5*time.Second, 50*time.Millisecond)
					time.Sleep(time.Second)
					c.whole(t, 0)
					_ = n
				})
			})
		}
	}
}
