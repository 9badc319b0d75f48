package dataplane

import (
	"bytes"
	"testing"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// isolate has a member of an isolated community know a peer, which is a hub or none, and
// whom frames are exchanged with or not.
func (m *member) isolate(peer *member, hub, exchanges bool) {
	s := Standing{Rights: bridge.SpeakForHosts, Hub: hub}
	if exchanges {
		s.Rights |= bridge.Exchange
	}
	m.view[peer].SetStanding(s)
	m.change(func(d *Draft) { d.SetIsolated(true) })
}

// isolated makes two members a hub and a leaf.
func isolated(build func(testing.TB) (*rig, *member, *member)) func(testing.TB) (*rig, *member, *member) {
	return func(tb testing.TB) (*rig, *member, *member) {
		r, a, b := build(tb)
		a.isolate(b, true, true)
		b.isolate(a, false, true)
		return r, a, b
	}
}

// yard is an isolated community: a hub and two leaves, where everybody has sessions with
// everybody, as it would be if a leaf were hostile.
func yard(t *testing.T, relayed bool) (r *rig, hub, a, b *member) {
	r = newRig(t, 3)
	hub, a, b = r.members[0], r.members[1], r.members[2]
	r.join(hub, a)
	r.join(hub, b)
	r.join(a, b)
	if relayed {
		r.hub()
	} else {
		r.direct(hub, a)
		r.direct(hub, b)
		r.direct(a, b)
	}
	hub.isolate(a, false, true)
	hub.isolate(b, false, true)
	a.isolate(hub, true, true)
	b.isolate(hub, true, true)
	a.isolate(b, false, false)
	b.isolate(a, false, false)
	return r, hub, a, b
}

// yards does something in a community with direct paths, and in one without.
func yards(t *testing.T, do func(t *testing.T, r *rig, hub, a, b *member)) {
	for name, relayed := range map[string]bool{"direct": false, "relayed": true} {
		t.Run(name, func(t *testing.T) {
			r, hub, a, b := yard(t, relayed)
			do(t, r, hub, a, b)
		})
	}
}

// TestHubAndLeaves has a hub and leaves exchange frames of every length, one by one and
// flooded: each flood reaches the others just once, and no other leaf. What one leaf sends
// to another goes nowhere.
func TestHubAndLeaves(t *testing.T) {
	yards(t, func(t *testing.T, r *rig, hub, a, b *member) {
		for _, n := range []int{46, 1300, 9000} {
			for _, dst := range []protocol.MAC{protocol.Broadcast, {0x33, 0x33, 0, 0, 0, 1}, host(7)} {
				f := ethernet(dst, hub.self, 0x88b5, n)
				hub.send(r.now, bytes.Clone(f))
				r.carry()
				a.delivered(t, [][]byte{f})
				b.delivered(t, [][]byte{f})
				f = ethernet(dst, a.self, 0x88b5, n)
				a.send(r.now, bytes.Clone(f))
				r.carry()
				hub.delivered(t, [][]byte{f})
				b.delivered(t, nil)
			}
			for _, to := range [][2]*member{{hub, a}, {a, hub}, {hub, b}} {
				f := ethernet(to[1].self, to[0].self, 0x88b5, n)
				to[0].send(r.now, bytes.Clone(f))
				r.carry()
				to[1].delivered(t, [][]byte{f})
			}
		}
		for _, m := range r.members {
			if got := m.drops.nonzero(); len(got) != 0 {
				t.Errorf("%v dropped %v", m.self, got)
			}
		}
		a.send(r.now, ethernet(b.self, a.self, 0x88b5, 100))
		a.dropped(t, DropIsolated)
		if sent := a.conn.take(); len(sent) != 0 {
			t.Errorf("%d datagrams of a leaf for another", len(sent))
		}
		// A flood counts once, whomever it goes to.
		before := hub.Totals().TxFrames
		hub.send(r.now, ethernet(protocol.Broadcast, hub.self, 0x88b5, 100))
		if got := hub.Totals().TxFrames - before; got != 1 {
			t.Errorf("one flood counts as %d", got)
		}
	})
}

// TestFramesBetweenLeaves has a leaf forget the rules: whatever it seals for another leaf,
// in their session or for all, whole or in pieces, with a hub's addresses or for a link, is
// dropped there, and the user is told of it. Nor is a hub's own flood taken: whoever
// knows the keys of the community could have made it.
func TestFramesBetweenLeaves(t *testing.T) {
	yards(t, func(t *testing.T, r *rig, hub, a, b *member) {
		a.isolate(b, false, true)
		w := r.wire(a, b)
		for _, f := range [][]byte{
			ethernet(b.self, a.self, 0x88b5, 100), ethernet(b.self, a.self, 0x88b5, 9000), ethernet(b.self, hub.self, 0x88b5, 100),
			ethernet(b.self, host(1), 0x88b5, 100), ethernet(protocol.Broadcast, a.self, 0x88b5, 100), ethernet(protocol.Broadcast, hub.self, 0x88b5, 100),
			w.frame(0, w.macs[1], 100), w.frame(0, w.macs[1], 9000),
		} {
			for _, kind := range []string{"session", "group"} {
				b.undrop()
				a.isolate(b, false, true)
				if kind == "group" {
					a.change(func(d *Draft) { d.SetIsolated(false) })
				}
				if src := protocol.Frame(f).Src(); src == w.macs[0] && kind == "session" {
					w.put(t, a, 0, superFrame{frame: bytes.Clone(f)})
				} else {
					a.send(r.now, bytes.Clone(f))
				}
				r.carry()
				b.delivered(t, nil)
				if got := w.devices[1].take(); len(got) != 0 {
					t.Errorf("%s %x: %d frames came out of the link", kind, f[:14], len(got))
				}
				if got := b.drops.Count(DropIsolated); kind == "session" && !protocol.Frame(f).Dst().IsGroup() && got != 1 {
					t.Errorf("%s %x: %d were dropped as isolated", kind, f[:14], got)
				}
				hub.device.take()
			}
		}
		if b.known() != 0 {
			t.Errorf("%d hosts were learned", b.known())
		}
		b.undrop()
		b.events()
		hub.change(func(d *Draft) { d.SetIsolated(false) })
		hub.send(r.now, ethernet(protocol.Broadcast, hub.self, 0x88b5, 100))
		r.carry()
		b.delivered(t, nil)
		b.dropped(t, DropIsolated)
		told := false
		for _, ev := range b.events() {
			v, ok := ev.(Violation)
			told = told || ok && v.Reason == DropIsolated && v.Group && v.Peer == b.view[hub]
		}
		if !told {
			t.Error("nobody is told of the hub's flood")
		}
	})
}

// TestUnvouchedInIsolation holds that GROUP packets of whoever has not vouched go nowhere,
// not even to the control loop; and if one waits there when the community gets its hubs, it
// is dropped then.
func TestUnvouchedInIsolation(t *testing.T) {
	_, hub, a, b := yard(t, false)
	a.change(func(d *Draft) { d.SetIsolated(false) })
	b.groupRx = crypto.NewGroupReceiver(testCommunity()) // has heard no vouch
	a.send(noon, ethernet(protocol.Broadcast, a.self, 0x88b5, 100))
	for _, d := range a.conn.take() {
		if d.to == b.addr {
			b.receive(d.pkt, a.addr)
		}
	}
	b.dropped(t, DropIsolated)
	for _, ev := range b.events() {
		if _, ok := ev.(Unvouched); ok {
			t.Error("the control loop is told")
		}
	}
	inner := append([]byte{0}, ethernet(b.self, hub.self, 0x88b5, 100)...)
	b.Deliver(noon, b.device, b.view[hub], inner, true)
	b.delivered(t, nil)
	b.dropped(t, DropIsolated)
}

// TestWaitingForHubs has a leaf send to a hub that it has no session with, or that has not
// proved to be one: the frame waits, flooded or not. One for whoever is no hub does not.
func TestWaitingForHubs(t *testing.T) {
	for name, unmeet := range map[string]func(a, hub *member){
		"no session": func(a, hub *member) { a.reroute(hub, func(r *Route) { r.Session = nil }) },
		"no proof":   func(a, hub *member) { a.isolate(hub, true, false) },
	} {
		t.Run(name, func(t *testing.T) {
			yards(t, func(t *testing.T, r *rig, hub, a, b *member) {
				unmeet(a, hub)
				for _, dst := range []protocol.MAC{hub.self, protocol.Broadcast, b.self} {
					a.undrop()
					a.send(r.now, ethernet(dst, a.self, 0x88b5, 100))
					staged := 0
					for _, ev := range a.events() {
						if s, ok := ev.(Staged); ok && s.Peer == a.view[hub] {
							staged++
						}
					}
					want := 1
					if dst == b.self {
						want = 0
					}
					if sent := a.conn.take(); staged != want || len(sent) != 0 || a.drops.Count(DropIsolated) != uint64(1-want) {
						t.Errorf("to %v: %d wait, %d datagrams, drops %v", dst, staged, len(sent), a.drops.nonzero())
					}
				}
			})
		})
	}
}
