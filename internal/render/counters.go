package render

import (
	"fmt"
	"io"

	"hedgerow/edge/control"
)

// Counters writes what the data path of an edge has done. The error is the writer's.
func Counters(w io.Writer, v control.Counters) error {
	var s sheet
	for i, q := range v.Queues {
		s.row(fmt.Sprintf("queue %d", i), "%d sleeps", q.Sleeps)
		if f := q.Frames; f != nil {
			s.row("  device", "in %d (%d super) by %d reads   out %d (%d super) by %d writes", f.In, f.SuperIn, f.Reads, f.Out, f.SuperOut, f.Writes)
		}
		if d := q.Datagrams; d != nil {
			s.row("  socket", "in %d (%d trains) by %d reads   out %d (%d trains) by %d writes", d.In, d.TrainsIn, d.Reads, d.Out, d.TrainsOut, d.Writes)
			s.row("", "gso refused %d, waited for room %d, dropped %d", d.GSORefused, d.Waits, d.Dropped)
		}
	}
	s.row("too long", "cut %d into %d pieces, joined %d   segment size lowered in %d", v.Long.Cut, v.Long.Pieces, v.Long.Joined, v.Long.Clamped)
	s.row("dropped", "%s", dropsText(v.Drops))
	return s.writeTo(w)
}
