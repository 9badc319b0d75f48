package integration

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// TestWithout takes away from one edge, one by one, what a kernel may not have.
// Everything crosses still, both ways between it and an edge that has all, and it
// says once that it is slower.
func TestWithout(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args   []string
		says   string // what its log has once; empty: nothing
		super  bool   // super-frames go into its device and come out
		trains [2]bool
	}{
		"nothing":         {nil, "", true, [2]bool{true, true}},
		"vnet headers":    {[]string{"--offload", "vnet=off"}, "vnet,csum,tso,uso (by option)", false, [2]bool{true, true}},
		"checksums":       {[]string{"--offload", "csum=off"}, "csum,tso,uso (by option)", false, [2]bool{true, true}},
		"TSO":             {[]string{"--offload", "tso=off,uso=off"}, "tso,uso (by option)", false, [2]bool{true, true}},
		"USO":             {[]string{"--offload", "uso=off"}, "uso (by option)", true, [2]bool{true, true}},
		"UDP_SEGMENT":     {[]string{"--offload", "gso=off"}, "(UDP_SEGMENT): each is sent by itself, which is slower", true, [2]bool{true, false}},
		"UDP_GRO":         {[]string{"--offload", "gro=off"}, "(UDP_GRO): each is received by itself, which is slower", true, [2]bool{false, true}},
		"batches":         {[]string{"--offload", "batch=off"}, "", true, [2]bool{true, true}},
		"the native way":  {[]string{"--tap-backend", "water"}, "", false, [2]bool{true, true}},
		"a second queue":  {[]string{"--queues", "1"}, "", true, [2]bool{true, true}},
		"anything at all": {[]string{"--tap-backend", "water", "--offload", "gso=off,gro=off,batch=off", "--queues", "1"}, "which is slower", false, [2]bool{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newTown(t, time.Minute)
			left := w.join(lab.Must(w.Host("left", "198.51.100.1")), overIPv4, c.args...)
			right := w.join(lab.Must(w.Host("right", "198.51.100.2")), overIPv4)
			left.meet(right.addr(), answerWithin)
			left.reach(right, control.PathDirect)
			right.reach(left, control.PathDirect)
			for _, way := range [][2]*member{{left, right}, {right, left}} {
				for _, check := range crossings {
					if err := check.crosses(way[0], way[1]); err != nil {
						t.Errorf("%s from %s to %s: %v", check.name, way[0].Name, way[1].Name, err)
					}
				}
			}
			want := map[bool]int{true: 1}[c.says != ""]
			if name == "anything at all" {
				want = 2 // one for each half of the socket
			}
			if n := strings.Count(left.Log(), c.says); c.says != "" && n != want {
				t.Errorf("said %d times that it is slower, want %d", n, want)
			}
			if n := strings.Count(left.Log(), "slower"); n != want {
				t.Errorf("said %d times that something is slower, want %d", n, want)
			}
			if strings.Contains(right.Log(), "slower") {
				t.Error("the other edge says that it is slower")
			}
			left.moved(t, c.super, c.trains)
		})
	}
}

// moved fails the test unless the edge's counters say that it moved super-frames
// and trains (in, out), or that it did not.
func (m *member) moved(t *testing.T, super bool, trains [2]bool) {
	t.Helper()
	v, err := m.town.Counters(m.town.ctx, m.Program)
	if err != nil {
		t.Fatal(err)
	}
	var f control.FrameCounters
	var d control.DatagramCounters
	for _, q := range v.Queues {
		f.SuperIn, f.SuperOut = f.SuperIn+q.Frames.SuperIn, f.SuperOut+q.Frames.SuperOut
		d.TrainsIn, d.TrainsOut = d.TrainsIn+q.Datagrams.TrainsIn, d.TrainsOut+q.Datagrams.TrainsOut
	}
	if super != (f.SuperIn > 0) || super != (f.SuperOut > 0) {
		t.Errorf("%d super-frames in, %d out", f.SuperIn, f.SuperOut)
	}
	if trains != [2]bool{d.TrainsIn > 0, d.TrainsOut > 0} {
		t.Errorf("%d trains in, %d out", d.TrainsIn, d.TrainsOut)
	}
}
