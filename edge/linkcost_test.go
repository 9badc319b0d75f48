package edge

import (
	"testing"
	"time"

	"hedgerow/edge/control"
)

// The cost is that of a wire for a near peer, more for a far one and by relay, and the
// transmissions that a frame takes multiply it.
func TestCost(t *testing.T) {
	at := func(path control.Path, rtt float64) control.PathStatus {
		return control.PathStatus{Path: path, RTTms: &rtt}
	}
	share := func(loss float64) *float64 { return &loss }
	for _, c := range []struct {
		path control.PathStatus
		loss *float64
		want int
	}{
		{control.PathStatus{Path: control.PathNone}, nil, 0},
		{control.PathStatus{Path: control.PathDirect}, nil, 96},
		{at(control.PathDirect, 0.2), share(0), 96},
		{at(control.PathDirect, 10), nil, 96},
		{at(control.PathDirect, 65), nil, 171},
		{at(control.PathDirect, 120), nil, 246},
		{at(control.PathDirect, 5000), nil, 246},
		{at(control.PathRelay, 0.2), nil, 224},
		{at(control.PathRelay, 65), share(0.5), 598},
		{at(control.PathDirect, 1), share(0.05), 101},
		{at(control.PathRelay, 5000), share(1), 7480},
	} {
		if got := costOf(c.path, c.loss); got != c.want {
			t.Errorf("%s, %v ms, loss %v: %d, want %d", c.path.Path, c.path.RTTms, c.loss, got, c.want)
		}
	}
}

// A link's changes are told at once when they are of its carrier or its path, and rarely
// when they are of its cost.
func TestToldLink(t *testing.T) {
	var told toldLink
	for i, c := range []struct {
		after time.Duration
		up    bool
		path  control.Path
		cost  int
		want  bool
	}{
		{0, false, control.PathNone, 0, false},
		{0, false, control.PathRelay, 200, false}, // it does not carry yet
		{0, true, control.PathRelay, 200, true},
		{0, true, control.PathDirect, 100, true},
		{time.Hour, true, control.PathDirect, 115, false},
		{time.Hour, true, control.PathDirect, 85, false},
		{time.Hour, true, control.PathDirect, 116, true},
		{costAgain - 1, true, control.PathDirect, 246, false},
		{1, true, control.PathDirect, 246, true},
		{costAgain, true, control.PathDirect, 240, false},
		{0, false, control.PathDirect, 240, true},
		{costAgain, false, control.PathRelay, 90, false},
		{0, true, control.PathRelay, 90, true},
	} {
		p := control.Peer{PathStatus: control.PathStatus{Path: c.path}, Link: &control.Link{Carrier: c.up, Cost: c.cost}}
		now := noon
		if !told.at.IsZero() {
			now = told.at
		}
		if i > 0 && c.after == 1 {
			now = now.Add(costAgain - 1)
		}
		if got := told.changed(now.Add(c.after), p); got != c.want {
			t.Errorf("%d: told %v, want %v", i, got, c.want)
		}
	}
}
