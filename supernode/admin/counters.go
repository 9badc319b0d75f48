package admin

import (
	"hedgerow/nat/turn"
	"hedgerow/transport"
)

// Counters count what the packet loop has done since the start, as GET
// /api/v1/counters returns it: how well it batches decides how fast it is.
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
