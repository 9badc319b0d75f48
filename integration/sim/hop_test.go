package sim

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// A session with a supernode is renewed after 15 minutes, which takes two round
// trips: broadcasts go on meanwhile, as do frames for one.
func TestFloodsWhileHopIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.Symmetric, nattest.Symmetric)
		defer c.end()
		c.Net.SetDelay(100 * time.Millisecond)
		all := [2]*Flow{c.Flow(c.left, protocol.Broadcast, &c.sinks[1]), c.Flow(c.right, protocol.Broadcast, &c.sinks[0])}
		time.Sleep(15*time.Minute - 5*time.Second)
		for range 500 {
			for _, f := range []*Flow{c.there, c.back, all[0], all[1]} {
				f.Send()
			}
			time.Sleep(20 * time.Millisecond)
		}
		time.Sleep(5 * time.Second)
		c.whole(t, 0)
		for _, f := range all {
			if lost := f.Lost(0, f.Len()); len(lost) > 0 {
				t.Errorf("lost %s", brief(lost))
			}
			if twice := f.Twice(); len(twice) > 0 {
				t.Errorf("delivered twice: %s", brief(twice))
			}
		}
	})
}

// Who gets floods directly gets them by no supernode as well, and the supernodes
// know that in every new session at once.
func TestDirectSetInNewSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.PortRestricted, nattest.PortRestricted)
		defer c.end()
		begun := time.Now()
		time.Sleep(time.Second)
		c.both(5*time.Second, 50*time.Millisecond)
		all := c.Flow(c.left, protocol.Broadcast, &c.sinks[1])
		all.size = 200
		var relayed atomic.Int32
		c.Net.Tap(func(from, to netip.AddrPort, b []byte) {
			if from == c.sn.Addr && to.Addr() == rightOutside && len(b) > 200 {
				relayed.Add(1)
			}
		})
		floods := func(when string) {
			t.Helper()
			relayed.Store(0)
			for range 100 {
				all.Send()
				c.there.Send()
				time.Sleep(50 * time.Millisecond)
			}
			if n := relayed.Load(); n > 0 {
				t.Errorf("%s: %d of 100 floods came by the supernode", when, n)
			}
		}
		floods("at first")
		c.both(15*time.Minute+2*time.Second-time.Since(begun), time.Second) // a new session of either
		floods("after the session was renewed")
		if lost, twice := all.Lost(0, all.Len()), all.Twice(); len(lost) > 0 || len(twice) > 0 {
			t.Errorf("lost %s, twice %s", brief(lost), brief(twice))
		}
	})
}
