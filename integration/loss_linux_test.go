package integration

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

const (
	// avoidAllowed is how long a path may be lossy before frames go by relay.
	avoidAllowed = 2 * time.Minute
	// soundAllowed is how long a path that is good again may be avoided.
	soundAllowed = 65 * time.Second
)

// avoids waits until the edge has a direct path to another one and does not use
// it.
func (m *member) avoids(other *member) {
	m.town.t.Helper()
	for began := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		peers, err := m.town.Peers(m.town.ctx, m.Program)
		if err != nil {
			m.town.t.Fatal(err)
		}
		for _, p := range peers {
			if p.Name == other.Name && p.Path == control.PathRelay && strings.HasPrefix(p.Reason, "the direct path loses packets, ") {
				m.town.t.Logf("%s after %v: %s", m.Name, time.Since(began).Round(time.Second), p.Reason)
				return
			}
		}
		if time.Since(began) > avoidAllowed {
			m.town.t.Fatalf("%s still uses the lossy path: %+v", m.Name, peers)
		}
	}
}

// The road between two homes, and no other, loses 15 % each way: both edges go by
// relay, where nothing is lost, and back when the road is good again.
func TestLossyPath(t *testing.T) {
	t.Parallel()
	w := newTown(t, 5*time.Minute)
	routers, left, right := w.directPair(lab.PortRestricted)
	lose := func(percent float64) {
		if err := w.Internet().SetPathLoss(routers[0].WAN(), routers[1].WAN(), percent); err != nil {
			t.Fatal(err)
		}
	}
	lose(15)
	s := startTraffic(t, left, right, 170)
	left.avoids(right)
	right.avoids(left)
	sound := time.Now().Add(time.Second)
	time.Sleep(10 * time.Second)
	lose(0)
	again := s.awaitDirect(time.Now())
	if again > soundAllowed {
		t.Errorf("direct again after %v", again)
	}
	gap, lost := s.end()
	late := 0
	for _, f := range s.flows {
		for _, n := range f.missing() {
			if !f.due(n).Before(sound) {
				late++
			}
		}
	}
	t.Logf("direct again after %v; %d of %d lost, %d of them after the road was avoided; longest gap %v",
		again.Round(time.Second), lost, s.flows[0].sent+s.flows[1].sent, late, gap)
	if late > 0 {
		t.Errorf("%d were lost although the road was avoided", late)
	}
}
