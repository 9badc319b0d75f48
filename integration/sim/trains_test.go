package sim

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/printed"
	"hedgerow/nat/nattest"
)

// The network loses trains and carries single datagrams, as behind a network card that
// cuts them wrong. After some seconds of traffic the frames of bursts arrive, and whoever
// sends them is told once. When trains arrive again they are used again.
func TestTrainsAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, log := New(t, 5), new(printed.Text)
		defer w.Close()
		sn := w.Supernode(supernodeAddr)
		w.Log = slog.New(slog.NewTextHandler(log, nil))
		var sink Sink
		left := w.Edge(behind(nattest.PortRestricted)(w.Net, 0), Options{Name: "left", Supernodes: []*Supernode{sn}})
		right := w.Edge(behind(nattest.PortRestricted)(w.Net, 1), Options{Name: "right", Supernodes: []*Supernode{sn}, Deliver: sink.Deliver})
		f := w.Flow(left, right.MAC, &sink)
		f.size = 1000
		bursts := func(d time.Duration) (lost int) {
			first := f.Len()
			for range int(d / (500 * time.Millisecond)) {
				for range 10 {
					f.Send()
				}
				time.Sleep(500 * time.Millisecond)
			}
			return len(f.Lost(first, f.Len()))
		}
		bursts(10 * time.Second)
		if lost := bursts(10 * time.Second); lost != 0 || strings.Count(log.String(), "at a time") != 0 {
			t.Errorf("%d lost on a good path, and the log says so %d times", lost, strings.Count(log.String(), "at a time"))
		}
		w.Net.SetTrains(false)
		bursts(2 * time.Minute)
		if lost := bursts(10 * time.Second); lost != 0 || strings.Count(log.String(), "at a time are lost") != 1 {
			t.Errorf("%d are lost after two minutes, and the log says why %d times", lost, strings.Count(log.String(), "at a time are lost"))
		}
		if p, err := left.Edge.Peers(t.Context()); err != nil || len(p) != 1 || !strings.Contains(p[0].Reason, "one by one") {
			t.Errorf("the list of peers: %+v %v", p, err)
		}
		w.Net.SetTrains(true)
		bursts(10 * time.Minute)
		if n := strings.Count(log.String(), "at a time arrive"); n != 1 {
			t.Errorf("said %d times that trains arrive again", n)
		}
		left.Stop()
		right.Stop()
		sn.Stop()
	})
}
