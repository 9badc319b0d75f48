package dataplane

import (
	"bytes"
	"net/netip"
	"testing"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// ping appends a PING, as what a control loop has to say.
func ping(b []byte) []byte {
	m := protocol.Ping{Nonce: [8]byte{1, 2, 3}}
	return m.Append(b)
}

// TestSealControl checks that what a control loop says to a peer comes by every
// path of a route, and that SealAlone sends nothing.
func TestSealControl(t *testing.T) {
	r, a, b := relayedPair(t)
	r.direct(a, b)
	h := r.hubs[0]
	send := a.NewSender(a.conn)
	s := a.entry[b].Crypto()
	send.SealControl(s, &Route{Direct: b.addr, Supernode: a.links[h], Handle: h.handle[b], Dual: true}, 0, ping)
	send.Flush()
	if got := a.conn.sent; len(got) != 2 || got[0].to != b.addr || got[1].to != h.addr {
		t.Fatalf("sent %d datagrams", len(got))
	}
	r.carry()
	if ev := only[PairMessages](t, b); !bytes.Equal(ev.Messages, ping(nil)) || ev.InPieces {
		t.Errorf("%+v", ev)
	}
	b.dropped(t, DropReplay) // the second copy

	pkt := send.SealAlone(s, ping)
	send.Flush()
	if sent := a.conn.take(); len(sent) != 0 {
		t.Errorf("sent %d datagrams that the caller has", len(sent))
	}
	b.receive(pkt, a.addr)
	if ev := only[PairMessages](t, b); !bytes.Equal(ev.Messages, ping(nil)) {
		t.Errorf("%+v", ev)
	}
}

// TestSpare checks that what goes through a supernode that is in doubt goes through its
// spare as well, frames, pieces and floods to one peer alike, and comes once.
func TestSpare(t *testing.T) {
	r, a, b := relayedPair(t)
	first, second := r.hubs[0], r.hub()
	through := func(what string, packets int) {
		t.Helper()
		count := map[netip.AddrPort]int{}
		for _, d := range a.conn.sent {
			count[d.to]++
		}
		if count[first.addr] != packets || count[second.addr] != packets || len(count) != 2 {
			t.Errorf("%s: sent %v", what, count)
		}
		r.carry()
	}
	a.reroute(b, func(route *Route) {
		route.Supernode, route.Handle = a.links[first], first.handle[b]
		route.Spare, route.SpareAs = a.links[second], second.handle[b]
	})
	for what, n := range map[string]int{"a frame": 100, "pieces": 2000} {
		packets := 1 + n/1400
		b.undrop()
		frame := ethernet(b.self, a.self, 0x88b5, n)
		a.send(r.now, frame)
		through(what, packets)
		b.delivered(t, [][]byte{frame})
		if got := b.drops.nonzero(); len(got) != 1 || got[DropReplay.String()] != uint64(packets) {
			t.Errorf("%s: drops %v", what, got)
		}
	}
	a.reroute(b, func(route *Route) { route.Session = nil })
	frame := ethernet(b.self, a.self, 0x88b5, 90)
	a.send(r.now, frame)
	through("a frame without a session", 1)
	b.delivered(t, [][]byte{frame})
}

// TestSpareAlone checks that the spare carries the frames of a session, whole or in pieces,
// when the supernode that it stands in for cannot be reached.
func TestSpareAlone(t *testing.T) {
	r, a, b := relayedPair(t)
	first, second := r.hubs[0], r.hub()
	a.reroute(b, func(route *Route) {
		route.Supernode, route.Handle = a.links[first], first.handle[b]
		route.Spare, route.SpareAs = a.links[second], second.handle[b]
	})
	a.links[first].ClearRoute()
	for _, n := range []int{100, 2000} {
		frame := ethernet(b.self, a.self, 0x88b5, n)
		a.send(r.now, frame)
		r.carry()
		b.delivered(t, [][]byte{frame})
	}
	if sent, got := a.drops.nonzero(), b.drops.nonzero(); len(sent)+len(got) != 0 {
		t.Errorf("drops %v and %v", sent, got)
	}
}

// TestSealHop checks that a supernode can open what is said to it, however long
// that is, and that nothing leaves for an address that is not known.
func TestSealHop(t *testing.T) {
	r, a, _ := relayedPair(t)
	h := r.hubs[0]
	send := a.NewSender(a.conn)
	hop := *a.links[h].hop.Load()
	for _, n := range []int{0, 700, protocol.MaxDatagram + 100} {
		long := func(b []byte) []byte { return append(ping(b), make([]byte, n)...) }
		send.SealHop(hop, long)
		send.Flush()
		sent := a.conn.take()
		if len(sent) != 1 || sent[0].to != h.addr {
			t.Fatalf("%d bytes: %d datagrams", n, len(sent))
		}
		h.mask.Show(h.scratch, sent[0].pkt)
		inner, err := h.legs[a].Open(h.scratch, sent[0].pkt)
		if want := long(protocol.AppendControl(nil)); err != nil || !bytes.Equal(inner, want) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	hop.Addr = netip.AddrPort{}
	send.SealHop(hop, ping)
	send.Flush()
	if sent := a.conn.take(); len(sent) != 0 {
		t.Errorf("sent to %v", sent[0].to)
	}
}

// TestSealGroup checks that every member can open a GROUP packet of the control
// loop, which is the caller's.
func TestSealGroup(t *testing.T) {
	_, a, b := pair(t)
	send := a.NewSender(a.conn)
	one := send.SealGroup(a.group, ping)
	two := send.SealGroup(a.group, ping)
	for _, pkt := range [][]byte{one, two} {
		b.mask.Show(b.scratch, pkt)
		inner, static, vouched, err := b.groupRx.Open(b.scratch, noon, Origin{Addr: a.addr}.group(), pkt, b.in.canReceive)
		if want := ping(protocol.AppendControl(nil)); err != nil || !vouched || static != a.static || !bytes.Equal(inner, want) {
			t.Errorf("%x %v", inner, err)
		}
	}
}

// TestSenderWorn checks that nothing is sealed once the numbers are used up. A hop
// session has too many of them for that.
func TestSenderWorn(t *testing.T) {
	_, a, b := pair(t)
	s := a.entry[b].Crypto()
	for _, reserve := range []func(uint32) (uint64, error){s.Reserve, a.group.Reserve} {
		if _, err := reserve(1 << 29); err != nil {
			t.Fatal(err)
		}
	}
	send := a.NewSender(a.conn)
	for name, seal := range map[string]func() bool{
		"control": func() bool { send.SealControl(s, &Route{Direct: b.addr}, 0, ping); return false },
		"one":     func() bool { return send.SealOne(s, &Route{Direct: b.addr}, 0, ping(nil)) > 0 },
		"pieces":  func() bool { return send.SealPieces(&Route{Session: s, Direct: b.addr}, make([]byte, 3000), 1000) > 0 },
		"alone":   func() bool { return send.SealAlone(s, ping) != nil },
		"group":   func() bool { return send.SealGroup(a.group, ping) != nil },
	} {
		if seal() {
			t.Errorf("%s: sealed", name)
		}
		send.Flush()
		a.dropped(t, DropSessionWorn)
	}
	if sent := a.conn.take(); len(sent) != 0 {
		t.Errorf("sent %d datagrams", len(sent))
	}
}

// TestSendStaged checks that frames which waited arrive in their order, are cut as
// others are, and are not counted a second time.
func TestSendStaged(t *testing.T) {
	r, a, b := pair(t)
	frames := [][]byte{
		ethernet(b.self, a.self, protocol.EtherTypeIPv4, 100), ethernet(b.self, host(1), protocol.EtherTypeIPv4, 3000),
		ethernet(b.self, a.self, protocol.EtherTypeIPv6, 200),
	}
	send := a.NewSender(a.conn)
	send.SendStaged(r.now, a.view[b], frames)
	send.Flush()
	if n := len(a.conn.sent[0].pkt); n != 100+33 {
		t.Errorf("the first has %d bytes: its header was not left out", n)
	}
	r.carry()
	b.delivered(t, frames)
	if got, want := a.Totals(), (Totals{Cut: 1, Pieces: 3}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
	// Without a path they come back.
	a.events()
	a.reroute(b, func(p *Route) { *p = Route{} })
	send.SendStaged(r.now, a.view[b], frames[:1])
	if ev := a.events(); len(ev) != 1 {
		t.Errorf("events %+v", ev)
	} else if staged, ok := ev[0].(Staged); !ok || !bytes.Equal(staged.Frame, frames[0]) {
		t.Errorf("%+v", ev[0])
	}
}

// TestDeliver checks which frames of a judged inner reach the device, and that
// they are counted and nothing is learned.
func TestDeliver(t *testing.T) {
	r, a, b := pair(t)
	p := b.view[a]
	good := ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60)
	for name, c := range map[string]struct {
		inner []byte
		want  DropReason
	}{
		"empty":         {nil, DropInner},
		"elided":        {append([]byte{1 << 6}, good...), DropInner},
		"control":       {ping(protocol.AppendControl(nil)), DropInner},
		"half a header": {make([]byte, 14), DropInner},
	} {
		b.Deliver(r.now, b.device, p, c.inner, false)
		if got := b.device.take(); len(got) != 0 {
			t.Errorf("%s: delivered", name)
		}
		b.dropped(t, c.want)
	}
	behind := fullFrame(ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60))
	if !b.Deliver(r.now, b.device, p, behind, false) || len(b.device.take()) != 0 || b.known() != 0 {
		t.Error("a host's frame that nobody vouched for was delivered")
	}
	inner := fullFrame(good)
	b.Deliver(r.now, b.device, p, inner, false)
	b.delivered(t, [][]byte{good})
	if !bytes.Equal(inner, fullFrame(good)) {
		t.Error("the inner was changed")
	}
	rx, _ := p.Bytes()
	if got, want := b.Totals(), (Totals{RxFrames: 1, RxBytes: uint64(len(good))}); got != want || rx != uint64(len(good)) {
		t.Errorf("counted %+v and %d, want %+v", got, rx, want)
	}
	if ev := only[Needed](t, b); ev.Peer != p || p.Used() != b.Since(r.now) {
		t.Errorf("%+v, used at %d", ev, p.Used())
	}
	if n, _ := b.Stations().Len(); n != 0 {
		t.Errorf("learned %d hosts", n)
	}
}

// TestRetire checks that the hosts behind a peer go with it.
func TestRetire(t *testing.T) {
	r, a, b := pair(t)
	r.arrives(t, "from a host behind", ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60), a, b)
	p := b.view[a]
	if n, most := b.Stations().Len(); b.Stations().Hosts(p) != 1 || n != 1 || most != bridge.DefaultSize.All || p.Retired() {
		t.Fatalf("%d hosts of %d, retired %v", n, most, p.Retired())
	}
	b.Retire(p)
	if n, _ := b.Stations().Len(); b.Stations().Hosts(p) != 0 || n != 0 || !p.Retired() {
		t.Errorf("%d hosts, retired %v", n, p.Retired())
	}
}

// TestDropOpen tells a replay from what does not open.
func TestDropOpen(t *testing.T) {
	var d Drops
	d.DropOpen(crypto.ErrReplay)
	d.DropOpen(crypto.ErrBudget)
	if d.Count(DropReplay) != 1 || d.Count(DropOpen) != 1 {
		t.Errorf("%v", d.Counts())
	}
}
