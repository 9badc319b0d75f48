package dataplane

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// TestOutboundDrops gives a member frames that it cannot send.
func TestOutboundDrops(t *testing.T) {
	unicast := func(r *rig, a, b *member, n int) { a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, n)) }
	flood := func(r *rig, a *member, n int) {
		a.send(r.now, ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, n))
	}
	reserve := func(r *rig, left uint32, take func(uint32) (uint64, error)) {
		if _, err := take(1<<29 - left); err != nil {
			r.tb.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		want DropReason
		give func(r *rig, a, b *member)
	}{
		{"nothing", DropFrameInvalid, func(r *rig, a, _ *member) { a.send(r.now, nil) }},
		{"13 bytes", DropFrameInvalid, func(r *rig, a, _ *member) { a.send(r.now, make([]byte, 13)) }},
		{"half a tag", DropFrameInvalid, func(r *rig, a, b *member) {
			a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeVLAN, 3))
		}},
		{"no route", DropNoPath, func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Direct = netip.AddrPort{} })
			unicast(r, a, b, 60)
		}},
		{"a relay without a session", DropNoPath, func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Direct, p.Supernode = netip.AddrPort{}, &Supernode{} })
			unicast(r, a, b, 60)
		}},
		{"nobody to flood to", DropNoPath, func(r *rig, a, b *member) {
			a.change(func(d *Draft) { d.UnbindMAC(b.self) })
			flood(r, a, 60)
		}},
		{"no epoch to send under", DropNoPath, func(r *rig, a, _ *member) {
			a.change(func(d *Draft) { d.SetGroup(nil) })
			flood(r, a, 60)
		}},
		{"session worn", DropSessionWorn, func(r *rig, a, b *member) {
			reserve(r, 0, a.entry[b].session.Reserve)
			unicast(r, a, b, 60)
		}},
		{"session worn within a run", DropSessionWorn, func(r *rig, a, b *member) {
			reserve(r, 2, a.entry[b].session.Reserve)
			unicast(r, a, b, 5000)
		}},
		{"salt worn", DropSessionWorn, func(r *rig, a, _ *member) {
			reserve(r, 0, a.group.Reserve)
			flood(r, a, 60)
		}},
		{"salt worn within a run", DropSessionWorn, func(r *rig, a, _ *member) {
			reserve(r, 2, a.group.Reserve)
			flood(r, a, 5000)
		}},
		{"a path that takes nothing", DropTooBig, func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Limit = protocol.HeaderLen + protocol.TagLen + 2 })
			unicast(r, a, b, 60)
		}},
		{"more pieces than a run has", DropTooBig, func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Limit = protocol.HeaderLen + protocol.TagLen + 12 })
			unicast(r, a, b, 1400)
		}},
		{"the socket refuses it", DropSend, func(r *rig, a, b *member) {
			a.conn.err = errors.New("refused")
			unicast(r, a, b, 60)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, a, b := pair(t)
			c.give(r, a, b)
			a.dropped(t, c.want)
			if sent := a.conn.take(); len(sent) != 0 {
				t.Errorf("sent %d datagrams", len(sent))
			}
		})
	}
}

// TestPaths checks which ways a packet takes: the direct one, the relay, or
// both with the same sealed bytes.
func TestPaths(t *testing.T) {
	r, a, b := relayedPair(t)
	h := r.hubs[0]
	for _, c := range []struct {
		direct, dual bool
		want         []netip.AddrPort
	}{
		{false, false, []netip.AddrPort{h.addr}},
		{true, false, []netip.AddrPort{b.addr}},
		{true, true, []netip.AddrPort{b.addr, h.addr}},
	} {
		a.reroute(b, func(p *Route) {
			p.Direct, p.Dual = netip.AddrPort{}, c.dual
			if c.direct {
				p.Direct = b.addr
			}
		})
		a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
		sent := a.conn.take()
		var to []netip.AddrPort
		for _, d := range sent {
			to = append(to, d.to)
		}
		if !slices.Equal(to, c.want) {
			t.Errorf("%+v: sent to %v", c, to)
		}
		if c.dual && !bytes.Equal(sent[0].pkt, sent[1].pkt[protocol.RelayOverhead:]) {
			t.Error("the two copies differ: one was sealed again")
		}
	}
}

// TestRelayWorn uses up the counter of a hop session.
func TestRelayWorn(t *testing.T) {
	r, a, b := relayedPair(t)
	if _, err := a.legs[r.hubs[0]].ReserveRelays(1<<32 - 1); err != nil {
		t.Fatal(err)
	}
	a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
	if sent := a.conn.take(); len(sent) != 0 || a.drops.Count(DropSessionWorn) != 1 {
		t.Errorf("%d datagrams, drops %v", len(sent), a.drops.nonzero())
	}
	// The direct path does not need it.
	r.direct(a, b)
	a.reroute(b, func(p *Route) { p.Dual = true })
	a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
	if sent := a.conn.take(); len(sent) != 1 || sent[0].to != b.addr {
		t.Errorf("%d datagrams", len(sent))
	}
}

// TestSendErrors checks that the control loop hears whom the socket refuses,
// but for a TTL that the system cannot set.
func TestSendErrors(t *testing.T) {
	r, a, b := pair(t)
	refused := errors.New("unreachable")
	a.conn.err = &transport.WriteError{Index: 0, Err: refused, Others: []transport.WriteError{
		{Index: 1, Err: errors.ErrUnsupported}, {Index: 99, Err: refused},
	}}
	a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
	var told []netip.AddrPort
	for _, ev := range a.events() {
		if ev, ok := ev.(SendRefused); ok {
			told = append(told, ev.Addr)
		}
	}
	if len(told) != 1 || told[0] != b.addr {
		t.Errorf("told of %v", told)
	}
}

// TestStaged checks which frames are handed to the control loop to wait, and
// that they are handed over whole.
func TestStaged(t *testing.T) {
	for name, prepare := range map[string]func(r *rig, a, b *member){
		"no relay": func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Session, p.Direct = nil, netip.AddrPort{} })
		},
		"a relay without a session": func(r *rig, a, b *member) {
			a.reroute(b, func(p *Route) { p.Session, p.Supernode = nil, &Supernode{} })
		},
		"listed members only": func(r *rig, a, b *member) {
			r.hub()
			a.change(func(d *Draft) { d.SetList(true) })
			a.view[b].SetStanding(Standing{Rights: bridge.Exchange})
			a.reroute(b, func(p *Route) { p.Session = nil })
		},
		"who may be a listed member": func(r *rig, a, b *member) {
			a.change(func(d *Draft) { d.SetList(true) })
			a.view[b].SetStanding(Standing{Hub: true})
		},
		"no epoch": func(r *rig, a, b *member) {
			r.hub()
			a.change(func(d *Draft) { d.SetGroup(nil) })
			a.reroute(b, func(p *Route) { p.Session = nil })
		},
	} {
		r, a, b := pair(t)
		prepare(r, a, b)
		frame := ethernet(b.self, a.self, protocol.EtherTypeIPv4, 1500)
		a.send(r.now, frame)
		var staged []Staged
		for _, ev := range a.events() {
			if ev, ok := ev.(Staged); ok {
				staged = append(staged, ev)
			}
		}
		if len(staged) != 1 || staged[0].Peer != a.view[b] || !bytes.Equal(staged[0].Frame, frame) {
			t.Errorf("%s: %d staged", name, len(staged))
		}
		if sent := a.conn.take(); len(sent) != 0 {
			t.Errorf("%s: sent %d datagrams", name, len(sent))
		}
	}
}

// TestFirstFrame checks that a frame for a peer without a session goes to that
// peer alone, as GROUP, and that the control loop hears of the need.
func TestFirstFrame(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(a, c)
	r.hub()
	a.reroute(b, func(p *Route) { p.Session = nil })
	a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
	r.carry()
	if len(b.device.take()) != 1 || len(c.device.take()) != 0 {
		t.Error("it did not go to its receiver alone")
	}
	if ev := only[Needed](t, a); ev.Peer != a.view[b] {
		t.Errorf("%+v", ev)
	}
}

// TestNeed checks how often the control loop hears that a peer is in use:
// every two seconds.
func TestNeed(t *testing.T) {
	r, a, b := pair(t)
	for i, want := range []int{1, 0, 0, 1, 0} {
		a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60))
		r.carry()
		for _, m := range []*member{a, b} {
			got := 0
			for _, ev := range m.events() {
				if _, ok := ev.(Needed); ok {
					got++
				}
			}
			if got != want {
				t.Errorf("step %d: %d events, want %d", i, got, want)
			}
		}
		r.advance(2 * time.Second / 3)
		if i == 2 {
			r.advance(2) // two thirds are not whole nanoseconds
		}
	}
}

// TestWantMAC checks that an unknown host is flooded to, and asked for at most
// ten times a second whoever it is.
func TestWantMAC(t *testing.T) {
	r, a, b := pair(t)
	asked := func(n byte) (list []protocol.MAC) {
		a.send(r.now, ethernet(host(n), a.self, protocol.EtherTypeIPv4, 60))
		for _, ev := range a.events() {
			if ev, ok := ev.(MACWanted); ok {
				list = append(list, ev.MAC)
			}
		}
		return list
	}
	if got := asked(1); len(got) != 1 || got[0] != host(1) {
		t.Errorf("asked for %v", got)
	}
	if got := asked(2); len(got) != 0 {
		t.Errorf("asked again at once for %v", got)
	}
	r.advance(100 * time.Millisecond)
	if got := asked(3); len(got) != 0 {
		t.Errorf("asked again after 100 ms for %v", got)
	}
	r.advance(1)
	if got := asked(4); len(got) != 1 {
		t.Errorf("asked for %v", got)
	}
	r.carry()
	if got := b.device.take(); len(got) != 4 {
		t.Errorf("%d frames flooded of 4", len(got))
	}
}

// TestHostBehindPeer checks that a frame to or from a host behind an edge keeps
// the host's address.
func TestHostBehindPeer(t *testing.T) {
	r, a, b := pair(t)
	r.arrives(t, "from a host", ethernet(a.self, host(1), protocol.EtherTypeIPv4, 60), b, a)
	r.arrives(t, "to the host", ethernet(host(1), a.self, protocol.EtherTypeIPv4, 60), a, b)
	r.arrives(t, "from host to host", ethernet(host(1), host(2), protocol.EtherTypeIPv6, 60), a, b)
	r.arrives(t, "back", ethernet(host(2), host(1), protocol.EtherTypeIPv6, 60, 3), b, a)
}

// askHere does what the control loop does about stations on a member's own side, until
// there is nothing left.
func (r *rig) askHere(m *member) {
	for {
		list, next := m.StationsDue(m.Since(r.now))
		for _, q := range list {
			a, _ := m.Stations().Ask(m.Since(r.now), q.Key, q.Since)
			a.Seq = q.Seq
			m.Stations().Answered(m.Since(r.now), q.To, a)
		}
		if next == 0 {
			return
		}
		r.advance(time.Duration(next - m.Since(r.now)))
	}
}

// TestStationHere: what a station on our own side sends is not delivered to it from
// elsewhere, and what is for it or for us is not flooded.
func TestStationHere(t *testing.T) {
	r, a, b := pair(t)
	r.arrives(t, "from a host of ours", ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60), a, b)
	for _, dst := range []protocol.MAC{a.self, protocol.Broadcast} {
		b.send(r.now, ethernet(dst, host(1), protocol.EtherTypeIPv4, 60))
		r.carry()
		a.dropped(t, DropStationHere)
		if n := len(a.device.take()); n != 0 {
			t.Errorf("%d frames of our host came from elsewhere", n)
		}
	}
	for _, dst := range []protocol.MAC{a.self, host(1)} {
		a.send(r.now, ethernet(dst, host(2), protocol.EtherTypeIPv4, 60))
		r.carry()
		a.dropped(t, DropDestinationHere)
	}
	if n := len(b.device.take()); n != 0 {
		t.Errorf("b got %d frames for us and for our host", n)
	}
	r.advance(4 * time.Second) // perhaps it has left
	r.arrives(t, "to a host that is silent", ethernet(host(1), host(2), protocol.EtherTypeIPv4, 60), a, b)
	if n := a.Totals().Unknown; n != 1 {
		t.Errorf("%d frames were flooded as unknown", n)
	}
}

// TestBridging learns hosts behind edges from what they send, each VLAN by
// itself, and follows them when they move, also to our own side.
func TestBridging(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(a, c)
	r.join(b, c)
	r.direct(a, b)
	r.direct(a, c)
	say := func(from *member, src, dst protocol.MAC, tags ...uint16) {
		from.send(r.now, ethernet(dst, src, protocol.EtherTypeIPv4, 60, tags...))
		r.carry()
		for _, m := range r.members {
			m.events()
			if from != a {
				m.device.take()
			}
		}
	}
	at := func(dst protocol.MAC, tags ...uint16) (list [2]int) {
		say(a, a.self, dst, tags...)
		return [2]int{len(b.device.take()), len(c.device.take())}
	}
	for _, step := range []struct {
		what string
		do   func()
		tags []uint16
		want [2]int
	}{
		{"unknown", func() {}, nil, [2]int{1, 1}},
		{"behind b", func() { say(b, host(1), a.self) }, nil, [2]int{1, 0}},
		{"in a VLAN", func() {}, []uint16{10}, [2]int{1, 1}},
		{"in a VLAN behind c", func() { say(c, host(1), a.self, 0xe00a) }, []uint16{10}, [2]int{0, 1}},
		{"still behind b", func() {}, nil, [2]int{1, 0}},
		{"moved to c by a broadcast", func() { say(c, host(1), protocol.Broadcast) }, nil, [2]int{0, 1}},
		{"moved to our side", func() { say(a, host(1), b.self); b.device.take() }, nil, [2]int{0, 0}},
		{"silent on our side", func() { r.advance(4 * time.Second) }, nil, [2]int{1, 1}},
		{"perhaps behind b", func() { say(b, host(1), a.self) }, nil, [2]int{1, 1}},
		{"behind b again", func() { r.askHere(a) }, nil, [2]int{1, 0}},
		{"almost 300 s later", func() { r.advance(bridge.Age - time.Second) }, nil, [2]int{1, 0}},
		{"after 300 s", func() { r.advance(time.Second) }, nil, [2]int{1, 1}},
	} {
		step.do()
		if got := at(host(1), step.tags...); got != step.want {
			t.Errorf("%s: b and c got %v, want %v", step.what, got, step.want)
		}
	}
}
