package supernode

import (
	"fmt"
	"testing"
	"time"

	"hedgerow/protocol"
)

// Whatever happens, the timers' goroutine has a next thing to do: it sleeps until
// then, and a supernode whose sweep or expiry was forgotten would never wake.
func TestSomethingIsAlwaysDue(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	for i := range 400 {
		switch i {
		case 50:
			a.seq++
			a.join() // its peers get a notice
		case 100:
			b.ask(&protocol.Unregister{})
		}
		r.pass(time.Second, time.Second)
		next := r.s.timers.Next()
		if !next.After(r.now) || next.Sub(r.now) > sweepPause {
			t.Fatalf("after %v the next is due in %v", r.now.Sub(epoch), next.Sub(r.now))
		}
		if !r.s.sessions.sweeping.IsSet() || !r.s.controls.registrar.expiry.next.IsSet() {
			t.Fatalf("after %v a timer was forgotten", r.now.Sub(epoch))
		}
	}
}

// A notice that the packet loop causes is due at once and wakes the timers; more
// than the pace allows wait for the next one.
func TestNoticesWakeTheTimers(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{InitRate: 1e6}})
	c := testCommunity("c", "k")
	const members = packetsAPace + 20
	for i := range members {
		r.edge(c, fmt.Sprint("member", i), 10+i).join()
	}
	a := r.edge(c, "a", 1).join()
	if r.s.notices.next.IsSet() || len(r.s.notices.alarm) != 0 {
		t.Error("a notice about nothing")
	}
	a.seq++
	a.join()
	if at := r.s.notices.next.At(); !at.Equal(r.now) || len(r.s.notices.alarm) != 1 {
		t.Errorf("due at %v instead of %v, %d alarms", at, r.now, len(r.s.notices.alarm))
	}
	r.s.timers.Run(r.now)
	r.s.sockets.flush(r.s.notices.out)
	if n := len(r.conn.drain()); n != packetsAPace {
		t.Errorf("%d notices at once", n)
	}
	if at := r.s.notices.next.At(); !at.Equal(r.now.Add(pace)) {
		t.Errorf("the rest is due at %v", at)
	}
	if n := len(r.pass(pace, pace)); n != members-packetsAPace || r.s.notices.next.IsSet() {
		t.Errorf("%d more, then one is due at %v", n, r.s.notices.next.At())
	}
}
