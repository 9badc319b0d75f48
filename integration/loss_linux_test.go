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
	// soundAllowed is how long a path that is good again may be avoided: it is
	// looked at after 30 s, and after 60 more if it was given up meanwhile.
	soundAllowed = 95 * time.Second
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

// The road between two homes, and no other, loses 15 % each way: frames go by
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
	s := startTraffic(t, left, right, 240)
	left.avoids(right)
	avoided := time.Now().Add(time.Second)
	time.Sleep(5 * time.Second)
	lose(0)
	sound := time.Now()
	left.reach(right, control.PathDirect)
	again := time.Since(sound)
	if again > soundAllowed {
		t.Errorf("direct again after %v", again)
	}
	time.Sleep(2 * time.Second)
	s.halt()
	_, lost := s.end()
	toRight, late := s.flows[0], 0 // right judges for itself, and perhaps later
	for _, n := range toRight.missing() {
		if toRight.due(n).After(avoided) {
			late++
		}
	}
	t.Logf("direct again after %v; %d of %d lost, %d of %d to the right after the road was avoided", again.Round(time.Second),
		lost, s.flows[0].sent+s.flows[1].sent, late, toRight.sent)
	if late > 0 {
		t.Errorf("%d were lost although the road was avoided", late)
	}
}
