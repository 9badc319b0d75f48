package supernode

import (
	"math/bits"
	"sync/atomic"

	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// trainSizes is admin.TrainSizes while it is counted.
type trainSizes [len(admin.TrainSizes{})]atomic.Uint64

// count adds a train of n datagrams, at least one.
func (t *trainSizes) count(n int) { t[min(bits.Len(uint(n-1)), len(t)-1)].Add(1) }

// read returns the present values.
func (t *trainSizes) read() (r admin.TrainSizes) {
	for i := range t {
		r[i] = t[i].Load()
	}
	return r
}

// Counters returns the present values. It may be called from any goroutine.
func (s *Server) Counters() admin.Counters {
	c := admin.Counters{
		Sleeps:         s.sockets.sleeps.Load(),
		ReceivedTrains: s.sockets.received.read(),
		SentTrains:     s.sockets.sent.read(),
		Drops:          s.refused.reasons(),
		TURN:           s.turn.stats(),
	}
	if counting, ok := s.sockets.conn.(interface{ Counters() transport.Counters }); ok {
		socket := counting.Counters()
		c.Socket = &socket
	}
	if beside, ok := s.sockets.conn.(interface{ SideCounters() transport.SideCounters }); ok {
		sides := beside.SideCounters()
		c.Sides = &sides
	}
	return c
}
