package supernode

import (
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

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
