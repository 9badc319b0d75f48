package sim

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
)

// Two machines with one identity, as after a disk was copied: both users read within a
// minute that there is another one, in the log and in status, and nobody is told that UDP
// looks blocked.
func TestTwins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 41)
		defer w.Close()
		sn := w.Supernode(supernodeAddr)
		host := func(n byte) *nattest.Host { return w.Net.Host(netip.AddrFrom4([4]byte{198, 51, 100, n})) }
		var told [3]events
		start := func(n byte, name string, id *Edge) *Edge {
			e := w.Edge(host(n), Options{Name: name, Supernodes: []*Supernode{sn}, Report: told[n-1].add})
			if id != nil {
				e.Stop()
				e.identity = id.identity
				e.Start()
			}
			return e
		}
		original, other := start(1, "original", nil), start(2, "other", nil)
		time.Sleep(30 * time.Second)
		copied := start(3, "copy", original)
		time.Sleep(time.Minute)
		for n, e := range map[int]*Edge{0: original, 2: copied} {
			if list := told[n].of(control.EventIdentityTwice); len(list) != 1 {
				t.Errorf("%s was told %d times of another one", e.options.Name, len(list))
			}
			for _, kind := range []control.EventKind{control.EventStream, control.EventStreamFailed, control.EventRefused} {
				if list := told[n].of(kind); len(list) != 0 {
					t.Errorf("%s was told %+v", e.options.Name, list)
				}
			}
			if !e.says("another machine uses the identity of this edge") {
				t.Errorf("%s: notes %q", e.options.Name, e.status().Notes)
			}
		}
		if list := told[1].of(control.EventIdentityTwice); len(list) != 0 {
			t.Errorf("the other member was told %+v", list)
		}
		for _, e := range []*Edge{original, other, copied} {
			e.Stop()
		}
		sn.Stop()
	})
}
