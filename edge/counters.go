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
	v := control.Counters{Queues: []control.QueueCounters{}, Drops: e.transforms.addTo(e.drops.nonzero())}
	v.Long = control.LongCounters{
		Cut: e.total.cut.Load(), Pieces: e.total.pieces.Load(), Joined: e.total.joined.Load(), Clamped: e.total.clamped.Load(),
	}
	for i, q := range e.queues {
		c := control.QueueCounters{Sleeps: q.waiter.Sleeps()}
		if f, ok := e.cfg.Queues[i].Frames.(interface{ Counters() tap.Counters }); ok {
			n := f.Counters()
			c.Frames = &control.FrameCounters{
				Reads: n.Reads, Writes: n.Writes, In: n.FramesIn, Out: n.FramesOut, SuperIn: n.SuperIn, SuperOut: n.SuperOut,
			}
		}
		if s, ok := e.cfg.Queues[i].Conn.(interface{ Counters() transport.Counters }); ok {
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
