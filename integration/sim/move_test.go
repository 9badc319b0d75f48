package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/nat/nattest"
)

// A supernode moves and its name with it: the edges find it where it is now, and
// relayed traffic goes on within seconds; a direct path does not notice.
func TestSupernodeMoves(t *testing.T) {
	for _, c := range []struct {
		name   string
		router nattest.Behavior
		within time.Duration
	}{{"relayed", nattest.Symmetric, 6 * time.Second}, {"direct", nattest.PortRestricted, 0}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := New(t, 21)
				defer w.Net.Close()
				sn := w.Supernode(supernodeAddr)
				var sinks [2]Sink
				o := Options{Supernodes: []*Supernode{sn}, ByName: true}
				left := w.Edge(behind(c.router)(w.Net, 0), with(o, "left", &sinks[0]))
				right := w.Edge(behind(c.router)(w.Net, 1), with(o, "right", &sinks[1]))
				time.Sleep(500 * time.Millisecond)
				ping := w.Flow(left, right.MAC, &sinks[1])
				ping.For(10*time.Second, 100*time.Millisecond)
				before := ping.Len()
				sn.Move(netip.MustParseAddr("203.0.113.77"))
				moved := time.Now()
				ping.For(20*time.Second, 100*time.Millisecond)
				time.Sleep(time.Second)
				if lost := ping.Lost(0, before); len(lost) > 0 {
					t.Errorf("lost before: %s", brief(lost))
				}
				lost := ping.Lost(before, ping.Len())
				if most := int(c.within / (100 * time.Millisecond)); len(lost) > most {
					t.Errorf("lost %s", brief(lost))
				}
				if d := ping.Resumed(moved); d > c.within+200*time.Millisecond {
					t.Errorf("goes on after %v", d)
				}
				t.Logf("%d lost, goes on after %v", len(lost), ping.Resumed(moved))
				left.Stop()
				right.Stop()
				sn.Stop()
			})
		})
	}
}

// with returns options for one edge.
func with(o Options, name string, sink *Sink) Options {
	o.Name, o.Deliver = name, sink.Deliver
	return o
}
