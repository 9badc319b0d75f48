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
	began := time.Now()
	left.await(func(p control.Peer) bool {
		return p.Path == control.PathRelay && strings.HasPrefix(p.Reason, "the direct path loses packets, ")
	})
	took := machine.since(began)
	if took > avoidAllowed {
		t.Errorf("by relay after %v", took)
	}
	avoided := time.Now().Add(time.Second)
	time.Sleep(5 * time.Second)
	lose(0)
	sound := time.Now()
	left.reach(right, control.PathDirect)
	again := machine.since(sound)
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
	t.Logf("by relay after %v, direct again after %v; %d of %d lost, %d of %d to the right after the road was avoided", took.Round(time.Second), again.Round(time.Second),
		lost, s.flows[0].sent+s.flows[1].sent, late, toRight.sent)
	if late > 0 {
		t.Errorf("%d were lost although the road was avoided", late)
	}
}
