package dataplane

import (
	"bytes"
	"testing"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// TestListedMembers has edges with a list of members exchange frames of every length, one by
// one and flooded, by packets for all members. Then one of them is a member no more for the
// other: nothing of it is delivered, whether by a session or by a GROUP packet under a salt
// that it vouched for, and nothing goes to it.
func TestListedMembers(t *testing.T) {
	for name, relayed := range map[string]bool{"direct": false, "relayed": true} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, 2)
			a, b := r.members[0], r.members[1]
			if r.join(a, b); relayed {
				r.hub()
			} else {
				r.direct(a, b)
			}
			for _, m := range [][2]*member{{a, b}, {b, a}} {
				m[0].view[m[1]].SetStanding(Standing{Rights: bridge.Exchange})
				m[0].change(func(d *Draft) { d.SetList(true) })
			}
			frames := func(n int) [][]byte {
				return [][]byte{ethernet(a.self, b.self, 0x88b5, n), ethernet(protocol.Broadcast, b.self, 0x88b5, n)}
			}
			for _, n := range []int{46, 1300, 9000} {
				for _, f := range frames(n) {
					b.send(r.now, bytes.Clone(f))
					r.carry()
					a.delivered(t, [][]byte{f})
				}
			}
			for _, m := range r.members {
				if got := m.drops.nonzero(); len(got) != 0 {
					t.Errorf("%v dropped %v", m.self, got)
				}
			}
			a.view[b].SetStanding(Standing{})
			for _, f := range frames(100) {
				b.send(r.now, f)
				r.carry()
				a.delivered(t, nil)
				a.dropped(t, DropUnlisted)
			}
			a.send(r.now, ethernet(b.self, a.self, 0x88b5, 100))
			a.dropped(t, DropUnlisted)
			if sent := a.conn.take(); len(sent) != 0 {
				t.Errorf("%d datagrams for somebody who is no member", len(sent))
			}
		})
	}
}
