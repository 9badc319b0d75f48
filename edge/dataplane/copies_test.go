package dataplane

import (
	"net/netip"
	"testing"

	"hedgerow/protocol"
)

// TestCopiesDiffer: of the direct copies of one flood no two begin or end alike, and
// each of them opens.
func TestCopiesDiffer(t *testing.T) {
	r := newRig(t, 6)
	a, members := r.members[0], make(map[netip.AddrPort]*member)
	for _, b := range r.members[1:] {
		r.join(a, b)
		r.direct(a, b)
		members[b.addr] = b
	}
	a.send(r.now, ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, 300))
	sent := a.conn.take()
	if len(sent) != 5 {
		t.Fatalf("%d copies", len(sent))
	}
	for i, one := range sent {
		for _, other := range sent[:i] {
			for _, at := range []int{0, 8, 16, 24, len(one.pkt) - 8} {
				if [8]byte(one.pkt[at:]) == [8]byte(other.pkt[at:]) {
					t.Errorf("two copies of one packet have the same eight bytes at %d", at)
				}
			}
		}
		b := members[one.to]
		b.receive(one.pkt, a.addr)
		if got := b.device.take(); len(got) != 1 {
			t.Errorf("member %v got %d frames, drops %v", b.addr, len(got), b.drops.nonzero())
		}
	}
}

// TestCopiesOfFullBatch: the copies of one frame are alike, however many datagrams wait
// to be sent when the frame comes: the relayed copy is made of the direct one, whose room
// is used again when a full batch is sent.
func TestCopiesOfFullBatch(t *testing.T) {
	for waiting := range 2 * batchDatagrams {
		r, a, b := carriages["on both paths"](t)
		for i := range waiting {
			a.out.slot(destination(100+i), netip.Addr{}, 1, 0)
		}
		a.out.slot(b.addr, netip.Addr{}, 1, 0)
		for i := range gatherLanes - 1 { // the next new destination gets the lane of b's
			a.out.slot(destination(90+i), netip.Addr{}, 1, 0)
		}
		a.send(r.now, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 300))
		copies := 0
		for _, d := range a.conn.take() {
			switch d.to {
			case r.hubs[0].addr:
				for _, out := range r.hubs[0].relay(a, d.pkt) {
					b.receive(out.pkt, r.hubs[0].addr)
					copies++
				}
			case b.addr:
				if len(d.pkt) > 1 {
					copies++
				}
			}
		}
		if got := b.device.take(); copies != 2 || len(got) != 1 {
			t.Errorf("with %d datagrams waiting: %d copies, %d frames of the relayed one, drops %v", waiting, copies, len(got), b.drops.nonzero())
		}
	}
}
