package sim

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/supernode"
)

// A supernode gets another key: its edges, which know it by the one that was typed, go over
// while frames are relayed between them, and nothing is lost or comes twice. One that is away
// meanwhile finds the key before, and goes over. Then that one ends: nobody notices, and an
// edge that is started anew with the key before on its command line uses the one that it has
// kept.
func TestSupernodeRotates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 63)
		defer w.Close()
		w.Net.SetDelay(40 * time.Millisecond)
		sn := w.Supernode(supernodeAddr)
		var sinks [3]Sink
		var told events
		o := Options{Supernodes: []*Supernode{sn}, State: true, Report: told.add}
		left := w.Edge(behind(nattest.Symmetric)(w.Net, 0), with(o, "left", &sinks[0]))
		o.Report = nil
		right := w.Edge(behind(nattest.Symmetric)(w.Net, 1), with(o, "right", &sinks[1]))
		away := w.Edge(w.Net.Host(netip.MustParseAddr("203.0.113.99")), with(o, "away", &sinks[2]))
		time.Sleep(time.Second)
		away.Stop()
		flows := []*Flow{w.Flow(left, right.MAC, &sinks[1]), w.Flow(right, left.MAC, &sinks[0]), w.Flow(left, protocol.Broadcast, &sinks[1])}
		pass := func(d time.Duration) {
			for range d / (10 * time.Millisecond) {
				for _, f := range flows {
					f.Send()
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
		pass(time.Second)
		before := supernode.KeyText(sn.Server.Key())
		if err := sn.Server.Rotate(); err != nil {
			t.Fatal(err)
		}
		pass(2 * time.Second)
		after := supernode.KeyText(sn.Server.Key())
		gone := func(when string, edges ...*Edge) {
			t.Helper()
			if st := sn.Server.Status().Totals.Rotation; st == nil || st.Edges != len(edges) || st.Old != 0 || st.Key != after || st.Former != before {
				t.Errorf("%s: %+v", when, st)
			}
			for _, e := range edges {
				if id := e.status().Supernodes[0].ID; id != after || !e.says("#"+after) || !e.keeps(after) {
					t.Errorf("%s: an edge knows it by %s, notes %q", when, id, e.status().Notes)
				}
			}
		}
		gone("told", left, right)
		checkCount(t, "rotations told", len(told.of(control.EventRotated)), 1)
		away.Start()
		pass(2 * time.Second)
		gone("back", left, right, away)
		if err := sn.Server.EndRotation(false); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		time.Sleep(16 * time.Minute) // sessions are renewed by the new key alone
		pass(time.Second)
		time.Sleep(time.Second)
		for i, f := range flows {
			if lost, twice := f.Lost(0, f.Len()), f.Twice(); len(lost)+len(twice) > 0 {
				t.Errorf("flow %d: lost %s, twice %s", i, brief(lost), brief(twice))
			}
		}
		away.Stop()
		away.Start()
		time.Sleep(5 * time.Second)
		if got := supernodes(away); !slices.Equal(got, []string{"203.0.113.1:7654"}) {
			t.Errorf("started anew it is registered at %v, notes %q", got, away.status().Notes)
		}
		checkCount(t, "losses told", len(told.of(control.EventSupernodeLost)), 0)
		for _, e := range []*Edge{left, right, away} {
			e.Stop()
		}
		sn.Stop()
	})
}

// keeps reports whether an edge has a key in its state file.
func (e *Edge) keeps(key string) bool {
	b, err := os.ReadFile(filepath.Join(e.dir, "state.json"))
	return err == nil && strings.Contains(string(b), key)
}

// A supernode that is started anew while it has two keys has both still: who was here is told
// of the restart, who was away comes by the key before, and all go over.
func TestRotationOverRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := New(t, 64)
		defer w.Close()
		sn := w.Supernode(supernodeAddr)
		var sinks [2]Sink
		o := Options{Supernodes: []*Supernode{sn}, State: true}
		left := w.Edge(behind(nattest.Symmetric)(w.Net, 0), with(o, "left", &sinks[0]))
		right := w.Edge(behind(nattest.Symmetric)(w.Net, 1), with(o, "right", &sinks[1]))
		time.Sleep(time.Second)
		right.Stop()
		if err := sn.Server.Rotate(); err != nil {
			t.Fatal(err)
		}
		after := sn.Server.Key()
		sn.Stop() // before anybody is told
		sn.Start()
		right.Start()
		time.Sleep(10 * time.Second)
		if st := sn.Server.Status().Totals.Rotation; sn.Server.Key() != after || st == nil || st.Edges != 2 || st.Old != 0 {
			t.Errorf("after a restart: %+v", st)
		}
		ping := w.Flow(left, right.MAC, &sinks[1])
		ping.For(time.Second, 50*time.Millisecond)
		time.Sleep(time.Second)
		if lost := ping.Lost(0, ping.Len()); len(lost) > 0 {
			t.Errorf("lost %s", brief(lost))
		}
		left.Stop()
		right.Stop()
		sn.Stop()
	})
}
