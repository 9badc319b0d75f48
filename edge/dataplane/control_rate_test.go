package dataplane

import (
	"testing"
	"time"

	"hedgerow/protocol"
)

// A member that says more than the control loop can hear leaves most of the queue to
// others: it is heard 400 times at once, and 200 times a second then.
func TestOnePeerDoesNotCrowdOutOthers(t *testing.T) {
	r := newRig(t, 3)
	a, honest, flooder := r.members[0], r.members[1], r.members[2]
	for _, b := range []*member{honest, flooder} {
		r.join(a, b)
		r.direct(a, b)
	}
	m := protocol.Ping{Pad: protocol.MinPingPad}
	say := func(b *member) { a.receive(b.seal(a, m.Append(protocol.AppendControl(nil))), b.addr) }
	heard := func(from *member) (n int) {
		for _, ev := range a.events() {
			if ev, ok := ev.(PairMessages); ok && ev.Peer.Static() == from.static {
				n++
			}
		}
		return n
	}
	for range 5000 {
		say(flooder)
	}
	say(honest)
	if n := heard(honest); n != 1 { // the flooder's are thrown away
		t.Errorf("%d packets of an honest member were heard", n)
	}
	if n := a.drops.Count(DropControlRate); n != 5000-400 {
		t.Errorf("%d packets of a flooder were dropped", n)
	}
	for range 10 {
		r.advance(100 * time.Millisecond)
		for range 500 {
			say(flooder)
		}
	}
	if n := heard(flooder); n < 195 || n > 205 {
		t.Errorf("%d packets of a flooder were heard in a second", n)
	}
}
