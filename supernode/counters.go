package supernode

import (
	"math/bits"
	"sync/atomic"

	"hedgerow/nat/turn"
	"hedgerow/transport"
)

// Counters count what the packet loop has done since the start: how well it batches
// decides how fast it is.
type Counters struct {
	// Socket are the counters of the socket; nil for one that counts nothing.
	Socket *transport.Counters `json:"socket,omitempty"`
	// Sides are the counters of the side addresses beside the socket; nil without any.
	Sides *transport.SideCounters `json:"sides,omitempty"`
	// TURN are the counters of the TURN server; nil when there is none.
	TURN *turn.ServerStats `json:"turn,omitempty"`
	// Sleeps is how often the loop had nothing to read and waited.
	Sleeps uint64 `json:"sleeps"`
	// ReceivedTrains and SentTrains count what one message of the socket carried.
	ReceivedTrains TrainSizes `json:"received_trains"`
	SentTrains     TrainSizes `json:"sent_trains"`
	// Drops counts dropped datagrams and messages by reason, as in Status.
	Drops map[string]uint64 `json:"drops"`
}

// TrainSizes counts trains by the number of datagrams in them: single ones,
// then those of up to 2, 4, 8, 16, 32 and 64, and longer ones.
type TrainSizes [8]uint64

// loopCounters are the Counters of a Server while they are counted.
type loopCounters struct {
	sleeps         atomic.Uint64
	received, sent trainSizes
}

// trainSizes is TrainSizes while it is counted.
type trainSizes [len(TrainSizes{})]atomic.Uint64

// count adds a train of n datagrams, at least one.
func (t *trainSizes) count(n int) { t[min(bits.Len(uint(n-1)), len(t)-1)].Add(1) }

// read returns the present values.
func (t *trainSizes) read() (r TrainSizes) {
	for i := range t {
		r[i] = t[i].Load()
	}
	return r
}

// Counters returns the present values. It may be called from any goroutine.
func (s *Server) Counters() Counters {
	c := Counters{
		Sleeps:         s.loop.sleeps.Load(),
		ReceivedTrains: s.loop.received.read(),
		SentTrains:     s.loop.sent.read(),
		Drops:          s.refused.reasons(),
	}
	if counting, ok := s.cfg.Conn.(interface{ Counters() transport.Counters }); ok {
		socket := counting.Counters()
		c.Socket = &socket
	}
	if beside, ok := s.cfg.Conn.(interface{ SideCounters() transport.SideCounters }); ok {
		sides := beside.SideCounters()
		c.Sides = &sides
	}
	if server := s.turn.Load(); server != nil {
		stats := server.Stats()
		c.TURN = &stats
	}
	return c
}
