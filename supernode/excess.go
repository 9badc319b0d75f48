package supernode

import (
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

// excess is what went over the limits of an edge or of a community. Few ever have one.
type excess struct {
	packets uint64
	last    time.Time
	what    uint8 // of the last one: one of the constants of protocol.Limited
}

// more counts a packet that went over a limit. It returns e, or a new one for none.
func (e *excess) more(now time.Time, what uint8) *excess {
	if e == nil {
		e = new(excess)
	}
	e.packets++
	e.last, e.what = now, what
	return e
}

// at returns what there is of an excess, as long ago as it is at a time.
func (e *excess) at(now time.Time) excessSeen {
	if e == nil {
		return excessSeen{}
	}
	return excessSeen{packets: e.packets, age: now.Sub(e.last), what: e.what}
}

// excessSeen is an excess as a document tells it; the zero value is none.
type excessSeen struct {
	packets uint64
	age     time.Duration
	what    uint8
}

// status returns the part of a document, nil for none.
func (e excessSeen) status() *admin.Excess {
	if e.packets == 0 {
		return nil
	}
	return &admin.Excess{Packets: e.packets, AgeS: max(0, e.age.Seconds()), Limit: limitNames[e.what]}
}

// limitNames are the names of what there are limits of, by their numbers on the wire.
var limitNames = [...]string{
	protocol.LimitedBytes: admin.LimitBytes, protocol.LimitedCommunityBytes: admin.LimitCommunityBytes, protocol.LimitedCopies: admin.LimitCopies,
	protocol.LimitedNetworkCopies: admin.LimitNetworkCopies, protocol.LimitedCommunityCopies: admin.LimitCommunityCopies,
	protocol.LimitedLine: admin.LimitLine, protocol.LimitedLoad: admin.LimitLoad,
	protocol.LimitedMonth: admin.LimitMonth, protocol.LimitedCommunityMonth: admin.LimitCommunityMonth,
	protocol.LimitedEdgeMonth: admin.LimitEdgeMonth, protocol.LimitedNetworkMonth: admin.LimitNetworkMonth,
}
