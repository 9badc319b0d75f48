package sim

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/control"
)

// Some hundred members arrive within a second, faster than an edge may ask for
// them: it knows all of them in the end and delivers their broadcasts, and it has
// sessions, and direct paths where there are some, with those it exchanges frames
// with.
func TestCrowdArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 400
		c := NewCrowd(t, n, nil)
		defer c.End()
		c.Arrive(CrowdPlan{Members: n, Every: 2 * time.Millisecond, Talk: 4, Direct: 2, For: 10 * time.Second})
		status, err := c.Edge.Status(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%+v, drops %v", status.Peers, status.Drops)
		if status.Peers.Seen != n {
			t.Errorf("%d members are known", status.Peers.Seen)
		}
		if status.Peers.Direct != n/8 || status.Peers.Relayed != n/8 {
			t.Errorf("%d direct and %d relayed paths, want those with traffic only", status.Peers.Direct, status.Peers.Relayed)
		}
		talks := func(i int) bool { return i%4 == 0 }
		c.Broadcast(n)
		for i, m := range c.members {
			if times := m.broadcasts.Load(); times != 1 {
				t.Errorf("the broadcast of member %d was delivered %d times", i, times)
			}
		}
		peers, err := c.Edge.Peers(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		paths := make(map[string]control.Path)
		for _, p := range peers {
			paths[p.MAC] = p.Path
		}
		for i, m := range c.members {
			path := paths[m.MAC.String()]
			if want := control.PathDirect; m.Direct && path != want || talks(i) && !m.Direct && path != control.PathRelay {
				t.Errorf("member %d is reached by %q", i, path)
			}
			if there, back := c.Answered(i); talks(i) && (there == 0 || back != there) {
				t.Errorf("member %d got %d answers to %d frames", i, back, there)
			}
		}
	})
}
