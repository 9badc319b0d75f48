package sim

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// bridged is a community of bridges, each with its device on a LAN, and hosts there.
type bridged struct {
	*World
	t     *testing.T
	sn    *Supernode
	edges []*Edge
	lans  []*Segment
	hosts []*Host
}

// newBridged starts as many bridges as there are numbers, each of the LAN with that
// number, and puts a host on every LAN. The first edges are better than the others.
func newBridged(t *testing.T, b nattest.Behavior, lanOf ...int) *bridged {
	return newBridgedWith(t, b, func(int, *Options) {}, lanOf...)
}

// newBridgedWith is newBridged with changes of each edge's options.
func newBridgedWith(t *testing.T, b nattest.Behavior, change func(i int, o *Options), lanOf ...int) *bridged {
	w := &bridged{World: New(t, 5), t: t}
	w.sn = w.Supernode(supernodeAddr)
	for range slices.Max(lanOf) + 1 {
		lan := NewSegment()
		w.lans = append(w.lans, lan)
		w.hosts = append(w.hosts, lan.Host(protocol.MAC{2, 0, 0, 0, 8, byte(len(w.hosts) + 1)}))
	}
	w.edges = make([]*Edge, len(lanOf))
	for i, lan := range lanOf {
		o := Options{Name: fmt.Sprint("edge", i), Supernodes: []*Supernode{w.sn}, Address: none}
		o.Ethernet.Bridge, o.Ethernet.Priority = true, uint16(100+i)
		w.lans[lan].Attach(&o)
		change(i, &o)
		w.edges[i] = w.Edge(behind(b)(w.Net, i), o)
		time.Sleep(stagger)
	}
	time.Sleep(10 * time.Second)
	return w
}

func (w *bridged) end() {
	for _, e := range w.edges {
		e.Stop()
	}
	w.sn.Stop()
}

// state returns what an edge does on its segment.
func (w *bridged) state(i int) string {
	v, err := w.edges[i].Edge.Status(w.t.Context())
	if err != nil || v.Ethernet.Segment == nil {
		return fmt.Sprint("none: ", err)
	}
	return v.Ethernet.Segment.State
}

// awaitStates waits until the edges have these states, and returns how long that took.
func (w *bridged) awaitStates(limit time.Duration, want ...string) time.Duration {
	w.t.Helper()
	return await(w.t, limit, fmt.Sprint(want), func() bool {
		for i, s := range want {
			if s != "" && w.state(i) != s {
				return false
			}
		}
		return true
	})
}

// once sends a number of broadcasts from a host and fails the test if another one does
// not get each of them exactly once.
func (w *bridged) once(from *Host, n int, to ...*Host) {
	w.t.Helper()
	f := from.Flow(w.World, protocol.Broadcast, to...)
	f.Run(n, 10*time.Millisecond)
	time.Sleep(time.Second)
	if lost, twice := f.Lost(0, n), f.Twice(); len(lost) > 0 || len(twice) > 0 {
		w.t.Errorf("broadcasts of %v: lost %s, twice %s", from.MAC, brief(lost), brief(twice))
	}
}

// eachBehavior runs a test where the paths are direct and where they are relayed.
func eachBehavior(t *testing.T, run func(t *testing.T, b nattest.Behavior)) {
	for name, b := range bothPaths {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { run(t, b) }) })
	}
}

// TestTwoBridgesOfOneLAN: two bridges of one LAN and a third edge's LAN. Every broadcast
// arrives exactly once. When the forwarder is killed the other one takes over within 3 s,
// in both directions, for a host that says nothing, too; when it is back it forwards again,
// and nothing comes twice.
func TestTwoBridgesOfOneLAN(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 0, 1)
		defer w.end()
		w.awaitStates(time.Second, "forwarding", "standby", "forwarding")
		w.once(w.hosts[0], 1000, w.hosts[1])
		w.once(w.hosts[1], 1000, w.hosts[0])
		silent := w.lans[0].Host(protocol.MAC{2, 0, 0, 0, 8, 99})
		silent.Flow(w.World, protocol.Broadcast).Send() // it was heard once
		time.Sleep(time.Second)

		out, in := w.hosts[0].Flow(w.World, w.hosts[1].MAC, w.hosts[1]), w.hosts[1].Flow(w.World, silent.MAC, silent)
		killed := time.Now()
		w.edges[0].Kill()
		for time.Since(killed) < 5*time.Second {
			out.Send()
			in.Send()
			time.Sleep(10 * time.Millisecond)
		}
		within(t, "the takeover for what leaves", out.Resumed(killed.Add(500*time.Millisecond)), 0, 2500*time.Millisecond)
		within(t, "the takeover for what comes", in.Resumed(killed.Add(500*time.Millisecond)), 0, 2500*time.Millisecond)
		if w.state(1) != "forwarding" {
			t.Error("the second one is", w.state(1))
		}
		w.edges[0].Start()
		w.awaitStates(10*time.Second, "forwarding", "standby", "forwarding")
		w.once(w.hosts[0], 100, w.hosts[1])
		w.once(w.hosts[1], 100, w.hosts[0])
		in = w.hosts[1].Flow(w.World, silent.MAC, silent)
		in.Run(100, 10*time.Millisecond)
		if lost := in.Lost(0, 100); len(lost) > 0 || len(in.Twice()) > 0 {
			t.Errorf("to the silent host: lost %s, twice %s", brief(lost), brief(in.Twice()))
		}
	})
}

// TestCableBetweenSites: a cable between two sites makes them one, so one bridge stands
// by within 2 s, and hosts behind it are reached through the other one. Unplugged, each
// forwards for its own again within 5 s.
func TestCableBetweenSites(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 1, 2)
		defer w.end()
		for i, h := range w.hosts {
			w.once(h, 20, w.hosts[(i+1)%3], w.hosts[(i+2)%3])
		}
		var looped atomic.Int64
		w.lans[0].Count(func([]byte) { looped.Add(1) })
		unplug := w.lans[0].Cable(w.lans[1], false)
		w.hosts[0].Flow(w.World, protocol.Broadcast).Send()
		within(t, "one bridge stands by", w.awaitStates(2*time.Second, "forwarding", "standby", "forwarding"), 0, 2*time.Second)
		time.Sleep(time.Second)
		if n := looped.Load(); n > 5000 {
			t.Errorf("%d frames looped", n)
		}
		for i, h := range w.hosts {
			w.once(h, 20, w.hosts[(i+1)%3], w.hosts[(i+2)%3])
		}
		remote := w.hosts[2].Flow(w.World, w.hosts[1].MAC, w.hosts[1]) // behind the one that stands by
		remote.Run(20, 10*time.Millisecond)
		if lost := remote.Lost(0, 20); len(lost) > 0 || len(remote.Twice()) > 0 {
			t.Errorf("to a host behind the one that stands by: lost %s, twice %s", brief(lost), brief(remote.Twice()))
		}

		unplugged := time.Now()
		unplug()
		flows := []*Flow{
			w.hosts[0].Flow(w.World, w.hosts[1].MAC, w.hosts[1]), w.hosts[1].Flow(w.World, w.hosts[0].MAC, w.hosts[0]),
			w.hosts[2].Flow(w.World, w.hosts[1].MAC, w.hosts[1]), w.hosts[2].Flow(w.World, w.hosts[0].MAC, w.hosts[0]),
		}
		for time.Since(unplugged) < 6*time.Second {
			for _, f := range flows {
				f.Send()
			}
			time.Sleep(10 * time.Millisecond)
		}
		for i, f := range flows {
			within(t, fmt.Sprint("flow ", i, " unplugged"), f.Resumed(unplugged.Add(500*time.Millisecond)), 0, 4500*time.Millisecond)
		}
		w.awaitStates(time.Second, "forwarding", "forwarding", "forwarding")
		for i, h := range w.hosts {
			w.once(h, 20, w.hosts[(i+1)%3], w.hosts[(i+2)%3])
		}
	})
}

// TestSplitHeals: the switch between two bridges of one LAN fails and comes back. Each
// half has a forwarder, and the whole has one within 3 s.
func TestSplitHeals(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 1, 2)
		defer w.end()
		for range 5 {
			unplug := w.lans[0].Cable(w.lans[1], false)
			within(t, "one forwarder", w.awaitStates(3*time.Second, "forwarding", "standby", "forwarding"), 0, 3*time.Second)
			w.once(w.hosts[0], 20, w.hosts[1], w.hosts[2])
			w.once(w.hosts[2], 20, w.hosts[0], w.hosts[1])
			unplug()
			w.awaitStates(3*time.Second, "forwarding", "forwarding", "forwarding")
			time.Sleep(time.Second)
			w.once(w.hosts[0], 20, w.hosts[1], w.hosts[2])
			w.once(w.hosts[1], 20, w.hosts[0], w.hosts[2])
		}
	})
}

// tagged sends a broadcast in a VLAN.
func (h *Host) tagged(vlan uint16) {
	h.send(protocol.AppendTagged(nil, Frame(protocol.Broadcast, h.MAC, make([]byte, 46)), protocol.EtherTypeVLAN, vlan))
}

// loops counts the frames that come into the first LAN in a VLAN.
func (w *bridged) loops(vlan uint16) *atomic.Int64 {
	n := new(atomic.Int64)
	w.lans[0].Count(func(f []byte) {
		if tag, ok := bridge.TagOf(f); ok && tag.VLAN == vlan && !protocol.Frame(f).IsProbe() {
			n.Add(1)
		}
	})
	return n
}

// TestCableInOneVLAN: a cable between two sites that carries one VLAN alone makes a loop
// there. One bridge stands by within 2 s, whoever else uses how many VLANs, and goes on to
// while nobody says anything; its user is told what that means. Unplugged, both forward again.
func TestCableInOneVLAN(t *testing.T) {
	for _, vlans := range []uint16{1, 100} {
		t.Run(fmt.Sprint(vlans, " VLANs"), func(t *testing.T) {
			eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
				w := newBridged(t, b, 0, 1, 2)
				defer w.end()
				for v := range vlans {
					w.hosts[0].tagged(10 + v)
					w.hosts[1].tagged(10 + v)
					time.Sleep(20 * time.Millisecond)
				}
				time.Sleep(time.Second)
				vlan := 9 + vlans
				looped := w.loops(vlan)
				unplug := w.lans[0].Trunk(w.lans[1], vlan)
				w.hosts[0].tagged(vlan)
				limit := 2 * time.Second
				if vlans > 16 {
					limit = 10 * time.Second // they take turns
				}
				within(t, "one bridge stands by", w.awaitStates(limit, "forwarding", "standby", "forwarding"), 0, limit)
				time.Sleep(time.Second)
				if n := looped.Load(); n > 5000 {
					t.Errorf("%d frames looped", n)
				}
				w.tells(1, "one in VLAN "+fmt.Sprint(vlan)+" alone")
				const look = 3 * time.Second
				for range span(10*time.Minute, time.Minute) / look { // a while after the last frame of a host
					time.Sleep(look)
					w.awaitStates(0, "forwarding", "standby", "forwarding")
				}
				unplug()
				within(t, "both forward again", w.awaitStates(5*time.Second, "forwarding", "forwarding", "forwarding"), 0, 5*time.Second)
				w.once(w.hosts[0], 20, w.hosts[1], w.hosts[2])
			})
		})
	}
}

// tells fails the test unless the user of an edge is told something.
func (w *bridged) tells(i int, text string) {
	w.t.Helper()
	if e := w.edges[i]; !e.says(text) {
		w.t.Errorf("notes %q, want %q", e.status().Notes, text)
	}
}

// TestOneWayCable: a cable that carries frames in one direction alone makes a loop, too.
func TestOneWayCable(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 1, 2)
		defer w.end()
		w.lans[1].Cable(w.lans[0], true) // the second hears nothing of the first
		await(t, 3*time.Second, "one of the two stands by", func() bool {
			return (w.state(0) == "forwarding") != (w.state(1) == "forwarding")
		})
		time.Sleep(time.Minute)
		if w.state(0) == "forwarding" && w.state(1) == "forwarding" {
			t.Error("both forward")
		}
	})
}

// TestForwarderEnds: a forwarder that is stopped is succeeded at once, and no frame is
// lost but those of that moment.
func TestForwarderEnds(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 0, 1)
		defer w.end()
		w.once(w.hosts[0], 5, w.hosts[1])
		out, in := w.hosts[0].Flow(w.World, w.hosts[1].MAC, w.hosts[1]), w.hosts[1].Flow(w.World, w.hosts[0].MAC, w.hosts[0])
		w.edges[0].Stop()
		stopped := time.Now()
		for time.Since(stopped) < time.Second {
			out.Send()
			in.Send()
			time.Sleep(10 * time.Millisecond)
		}
		within(t, "the takeover for what leaves", out.Resumed(stopped), 0, 200*time.Millisecond)
		within(t, "the takeover for what comes", in.Resumed(stopped), 0, 400*time.Millisecond)
		w.edges[0].Start()
		w.awaitStates(10*time.Second, "forwarding", "standby", "forwarding")
	})
}

// TestForwarderOfSilentHosts: a host of another site that says nothing is reached by
// whoever forwards now, 3 s after the forwarder is killed and 5 s after it is started
// again, although the LAN's switch learned the host where its frames end.
func TestForwarderOfSilentHosts(t *testing.T) {
	eachBehavior(t, func(t *testing.T, b nattest.Behavior) {
		w := newBridged(t, b, 0, 0, 1)
		defer w.end()
		far := w.hosts[1]
		far.Flow(w.World, protocol.Broadcast).Send() // and never again
		time.Sleep(time.Second)
		for _, c := range []struct {
			change func()
			limit  time.Duration
		}{{w.edges[0].Kill, 3 * time.Second}, {w.edges[0].Start, 5 * time.Second}} {
			c.change()
			changed := time.Now()
			out := w.hosts[0].Flow(w.World, far.MAC, far)
			for time.Since(changed) < 10*time.Second {
				out.Send()
				time.Sleep(10 * time.Millisecond)
			}
			within(t, "the way to a silent host", out.Resumed(changed.Add(c.limit)), 0, 100*time.Millisecond)
		}
	})
}

// TestTwoCommunitiesOnOneLAN: bridges of another community on the same LAN are none of ours.
func TestTwoCommunitiesOnOneLAN(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newBridged(t, nattest.PortRestricted, 0, 1)
		defer w.end()
		other := *w.Community
		other.Name, other.Secret, other.Epochs = "other", w.key(77), slices.Clone(other.Epochs)
		other.Epochs[0].Key = w.key(78)
		o := Options{Name: "stranger", Supernodes: []*Supernode{w.sn}, Address: none, Community: &other}
		o.Ethernet.Bridge, o.Ethernet.Priority = true, 1
		w.lans[0].Attach(&o)
		stranger := w.World.Edge(behind(nattest.PortRestricted)(w.Net, 7), o)
		defer stranger.Stop()
		time.Sleep(10 * time.Second)
		w.awaitStates(time.Second, "forwarding", "forwarding")
		if v := w.edges[0].status(); v.Drops["probe-foreign"] == 0 || len(v.Ethernet.Segment.Bridges) != 0 {
			t.Errorf("%v %+v", v.Drops, v.Ethernet.Segment)
		}
		w.once(w.hosts[0], 20, w.hosts[1])
	})
}
