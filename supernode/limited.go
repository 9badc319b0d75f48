package supernode

import (
	"math"
	"time"

	"hedgerow/protocol"
)

// limitedRate is how often a second an edge is told that not all that it sends is relayed.
const limitedRate = 1.0 / 5

// limit is what a packet was dropped for; the zero value is nothing.
type limit struct {
	what uint8   // one of the constants of protocol.Limited
	rate float64 // a second, or millions of bytes a month
}

// drop counts a packet that went over a limit, and tells its sender now and then, who would
// look for the loss anywhere else.
func (r *relayer) drop(now time.Time, out *outbox, edge *hop, l limit) {
	switch {
	case l.ofMonth():
		r.refused.drop(dropRelayMonth)
	case l.what == protocol.LimitedLine:
		r.refused.drop(dropRelayLine)
	case l.what == protocol.LimitedLoad:
		r.refused.drop(dropRelayLoad)
	default:
		r.refused.drop(dropRelayBudget)
	}
	b := &edge.reg.budget
	b.excess = b.excess.more(now, l.what)
	if l.ofCommunity() {
		all := &edge.reg.community.budget
		all.excess = all.excess.more(now, l.what)
	}
	if b.dropped < math.MaxUint32 {
		b.dropped++
	}
	if b.told.Take(now, 1, limitedRate, 1) {
		r.sender.message(out, edge, &protocol.Limited{Dropped: b.dropped, What: l.what, Rate: uint32(min(l.rate, math.MaxUint32))})
		b.dropped = 0
	}
}

// ofCommunity reports whether a limit is shared by all edges of a community.
func (l limit) ofCommunity() bool {
	return l.what == protocol.LimitedCommunityBytes || l.what == protocol.LimitedCommunityCopies || l.what == protocol.LimitedCommunityMonth
}
