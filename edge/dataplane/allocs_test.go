package dataplane

import (
	"testing"

	"hedgerow/protocol"
	"hedgerow/tap"
)

// runs is how often the tests of allocations repeat what they measure; once
// more is run before to warm up.
const runs = 200

// flow is one kind of frame on one kind of path, for measuring.
type flow struct {
	name  string
	build func(testing.TB) (*rig, *member, *member)
	flood bool
	bytes int // of the IP packet
}

const usualMTU = 1370

var flows = []flow{
	{"direct", pair, false, usualMTU},
	{"direct ChaCha20-Poly1305", carriages["ChaCha20-Poly1305"], false, usualMTU},
	{"direct small", pair, false, 64},
	{"relayed", relayedPair, false, usualMTU},
	{"both paths", carriages["on both paths"], false, usualMTU},
	{"flood direct", pair, true, 200},
	{"flood relayed", relayedPair, true, 200},
	{"isolated direct", isolated(pair), false, usualMTU},
	{"isolated flood", isolated(pair), true, 200},
	{"isolated flood relayed", isolated(relayedPair), true, 200},
	{"fragments", pair, false, 9000},
	{"fragments relayed", relayedPair, false, 9000},
}

func (f flow) frame(a, b *member) []byte {
	dst := b.self
	if f.flood {
		dst = protocol.Broadcast
	}
	return ethernet(dst, a.self, protocol.EtherTypeIPv4, f.bytes)
}

// outward returns a function that sends one frame of the flow.
func (f flow) outward(tb testing.TB) (send func(), a *member) {
	r, a, b := f.build(tb)
	a.conn.discard = true
	frame, buf := f.frame(a, b), make([]byte, bufferLen)
	t, now := a.table.Load(), a.Since(r.now)
	f2 := &tap.Frame{Buf: buf, Off: headroom, Len: len(frame)}
	return func() {
		copy(buf[headroom:], frame) // sealing destroys it
		a.out.sendFrame(t, now, f2)
		a.out.endBurst()
	}, a
}

// inward returns a function that receives the datagrams of one frame of the
// flow. It works n times, since every packet is good for once.
func (f flow) inward(tb testing.TB, n int) (receive func(), b *member) {
	r, a, b := f.build(tb)
	b.device.discard = true
	var frames [][]sentDatagram
	for range n {
		var arrived []sentDatagram
		for _, d := range a.sentFor(r, f.frame(a, b)) {
			if d.to == b.addr {
				arrived = append(arrived, sentDatagram{to: a.addr, pkt: d.pkt})
				continue
			}
			for _, out := range r.hubs[0].relay(a, d.pkt) {
				arrived = append(arrived, sentDatagram{to: r.hubs[0].addr, pkt: out.pkt})
			}
		}
		frames = append(frames, arrived)
	}
	return func() {
		for _, d := range frames[0] {
			b.in.handleDatagram(d.pkt, d.to)
		}
		b.in.endBatch()
		frames = frames[1:]
	}, b
}

func (m *member) sentFor(r *rig, frame []byte) []sentDatagram {
	m.send(r.now, frame)
	return m.conn.take()
}

// TestNoAllocations holds that the data path allocates nothing per frame.
func TestNoAllocations(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) {
			send, a := f.outward(t)
			if n := testing.AllocsPerRun(runs, send); n != 0 {
				t.Errorf("outbound: %v allocations per frame", n)
			}
			if a.conn.written < runs+1 || len(a.drops.nonzero()) != 0 {
				t.Errorf("%d datagrams for %d frames, drops %v", a.conn.written, runs+1, a.drops.nonzero())
			}
			// The first runs make the windows and the room for fragments.
			receive, b := f.inward(t, runs+4)
			receive()
			receive()
			if n := testing.AllocsPerRun(runs, receive); n != 0 {
				t.Errorf("inbound: %v allocations per frame", n)
			}
			if got := b.total.rxFrames.Load(); got != runs+3 {
				t.Errorf("%d frames were delivered of %d", got, runs+3)
			}
		})
	}
}

// TestNoAllocationsForJunk holds that datagrams of strangers cost no memory.
func TestNoAllocationsForJunk(t *testing.T) {
	_, a, b := pair(t)
	for name, header := range map[string]protocol.Header{
		"unknown session": {Type: protocol.TypeData, RX: 0x99},
		"forged":          data(a, b),
		"forged GROUP":    {Type: protocol.TypeGroup, XF: protocol.XFGroupGCM, KI: 3, RX: a.tag},
		"bad type":        {Type: 30},
	} {
		good := a.forge(header, 1000)
		pkt := make([]byte, len(good))
		if n := testing.AllocsPerRun(runs, func() {
			copy(pkt, good)
			b.receive(pkt, elsewhere)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if evs := b.events(); len(evs) != 0 {
		t.Errorf("events %+v", evs)
	}
}
