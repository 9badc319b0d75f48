package sim

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
)

// A host that was suspended for an hour, or was cloned, may have taken counters
// back that are used: its edge notices within a second, has new sessions with its
// peer and its supernode, and traffic goes on without a pause.
func TestSuspended(t *testing.T) {
	for _, name := range []string{"suspended", "cloned", "told"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCouple(t, nattest.PortRestricted, nattest.PortRestricted)
				defer c.end()
				c.left.Stop()
				var asleep atomic.Int64
				var machine atomic.Value
				machine.Store("one")
				booted := time.Now()
				c.left.options.Around.Boot = func() time.Duration { return time.Since(booted) + time.Duration(asleep.Load()) }
				c.left.options.Around.Machine = func() string { return machine.Load().(string) }
				told := make(chan struct{}, 1)
				c.left.options.Around.Forked = told
				c.left.Start()
				time.Sleep(time.Second)
				c.both(10*time.Second, 20*time.Millisecond)
				failed := func() uint64 { return c.left.status().Drops["handshake"] }
				before, n, at := failed(), c.there.Len(), time.Now()
				tape := c.Record(1 << 16)
				switch name {
				case "suspended":
					asleep.Store(int64(time.Hour))
				case "cloned":
					machine.Store("two")
				case "told":
					told <- struct{}{}
				}
				c.both(10*time.Second, 20*time.Millisecond)
				handshakes := 0
				for _, d := range tape.Take() {
					size := len(d.Bytes)
					if d.From.Addr() == leftOutside && (size == protocol.InitLen || size == protocol.InitLen+protocol.RelayOverhead) {
						handshakes++
					}
				}
				if handshakes < 2 {
					t.Errorf("%d handshakes were begun, want one with the peer and one with the supernode", handshakes)
				}
				for _, f := range []*Flow{c.there, c.back} {
					if gap := f.Gap(at); gap > 100*time.Millisecond {
						t.Errorf("a gap of %v", gap)
					}
				}
				if n := failed(); n != before {
					t.Errorf("%d handshakes failed", n-before)
				}
				c.whole(t, n)
				if p := pathTo(t, c.left, c.right); p != control.PathDirect {
					t.Errorf("the path is %s", p)
				}
			})
		})
	}
}
