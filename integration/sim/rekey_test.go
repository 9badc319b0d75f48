package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// An INIT goes directly and by relay. When the answer to the copy that came first
// gets lost, the other one is challenged, and of the INIT that echoes the challenge
// come two copies as well: they must not make two sessions, of which each end uses
// another one.
func TestCopiesOfInit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCouple(t, nattest.PortRestricted, nattest.PortRestricted)
		defer c.end()
		time.Sleep(time.Second)
		c.both(100*time.Second, 100*time.Millisecond)
		lost := 0
		c.Net.SetDrop(func(from, to netip.AddrPort, b []byte) bool {
			drop := lost == 0 && len(b) == protocol.RespLen && from != c.sn.Addr && to != c.sn.Addr
			if drop {
				lost++
			}
			return drop
		})
		n, since := c.there.Len(), time.Now()
		c.both(60*time.Second, 20*time.Millisecond) // the session is renewed
		if lost == 0 {
			t.Fatal("no answer got lost")
		}
		time.Sleep(time.Second)
		for _, f := range []*Flow{c.there, c.back} {
			if lost := f.Lost(n, f.Len()); len(lost) > 0 {
				t.Errorf("lost %s, a gap of %v", brief(lost), f.Gap(since))
			}
			if twice := f.Twice(); len(twice) > 0 {
				t.Errorf("delivered twice: %s", brief(twice))
			}
		}
	})
}
