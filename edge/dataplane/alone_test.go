package dataplane

import (
	"slices"
	"testing"

	"hedgerow/protocol"
)

// Over a path that loses trains the segments of a super-frame leave one by one, in the
// same order, and those that go through a supernode as a train still.
func TestFramesAlone(t *testing.T) {
	for name, want := range map[string][]int{"direct": {1, 1, 1, 1, 1}, "relayed": {5}, "on both paths": {1, 5, 1, 1, 1, 1}} {
		r, a, b := carriages[name](t)
		r.offloading()
		a.reroute(b, func(p *Route) { p.Alone = true })
		sent := super(b.self, a.self, 6, 5*1318, 1318)
		if trains := r.sendSuper(a, sent); !slices.Equal(trains, want) {
			t.Errorf("%s: trains %v, want %v", name, trains, want)
		}
		r.batch(a, b)
		if got := b.device.take(); len(got) != 1 || len(got[0]) != len(sent.frame) {
			t.Errorf("%s: %d frames came", name, len(got))
		}
	}
}

// What the control loop says leaves one by one, but for the packets of a train, which leave
// as one; what comes behind them is alone again.
func TestControlPacketsAlone(t *testing.T) {
	_, a, b := pair(t)
	s, route := a.NewSender(a.conn), a.view[b].Route()
	one := func(dst []byte) []byte { return (&protocol.Ping{Pad: 100}).Append(dst) }
	s.SealControl(route.Session, &route, 0, one)
	s.SealControl(route.Session, &route, 0, one)
	s.SealTrain(route.Session, &route, 4, func(dst []byte, number int) []byte {
		return (&protocol.Ping{Nonce: [8]byte{byte(number)}, Pad: 1300}).Append(dst)
	})
	s.SealControl(route.Session, &route, 0, one)
	s.SealControl(route.Session, &route, 0, one)
	s.Flush()
	if want := []int{1, 1, 4, 1, 1}; !slices.Equal(a.conn.trains, want) {
		t.Errorf("trains %v, want %v", a.conn.trains, want)
	}
}
