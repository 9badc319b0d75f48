package edge

import (
	"context"

	"hedgerow/edge/control"
	"hedgerow/tap"
	"hedgerow/transport"
)

// Counters returns what the data path has done since the start. It asks nobody:
// every counter may be read at any time.
func (e *Edge) Counters(context.Context) (control.Counters, error) {
	v := control.Counters{Queues: []control.QueueCounters{}, Drops: map[string]uint64{}}
	select {
	case <-e.begun:
		t := e.plane.Totals()
		v.Drops = e.drops.Counts()
		v.Long = control.LongCounters{Cut: t.Cut, Pieces: t.Pieces, Joined: t.Joined, Clamped: t.Clamped}
	default: // nothing has passed yet
	}
	for _, q := range e.cfg.Queues {
		c := control.QueueCounters{Sleeps: q.Waiter.Sleeps()}
		if f, ok := q.Frames.(interface{ Counters() tap.Counters }); ok {
			n := f.Counters()
			c.Frames = &control.FrameCounters{
				Reads: n.Reads, Writes: n.Writes, In: n.FramesIn, Out: n.FramesOut, SuperIn: n.SuperIn, SuperOut: n.SuperOut,
			}
		}
		if s, ok := q.Conn.(interface{ Counters() transport.Counters }); ok {
			n := s.Counters()
			c.Datagrams = &control.DatagramCounters{
				Reads: n.Reads, Writes: n.Writes, In: n.Datagrams, Out: n.DatagramsOut, TrainsIn: n.Trains, TrainsOut: n.TrainsOut,
				GSORefused: n.GSORefused, Waits: n.Waits, Dropped: n.Dropped,
			}
		}
		v.Queues = append(v.Queues, c)
	}
	return v, nil
}
