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
