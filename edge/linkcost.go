package edge

import (
	"math"

	"hedgerow/edge/control"
)

// The cost of a path, for routing protocols: 96 for a good wire, as Babel's for a cable
// without estimation of losses (RFC 8966, appendix A.2.1), and more for time as in RFC
// 9616, section 4.2: nothing up to 10 ms of round trip, 150 from 120 ms on, and in
// proportion between. The relayed path costs a good third more than a second wire: two near
// neighbours are better than a supernode, which everybody shares. Losses multiply, as the
// transmissions that a frame takes (ETX).
const (
	costWire   = 96
	costRelay  = 128
	costRTT    = 150
	costNear   = 10.0  // ms
	costFar    = 120.0 // ms
	costMost   = 65535 // OSPF's largest (RFC 2328, appendix C.3); Babel's infinity
	leastSound = 0.05  // of the pings are answered, at least
)

// costOf returns the cost of a path, 0 without one.
func costOf(s control.PathStatus, loss *float64) int {
	if s.Path == control.PathNone {
		return 0
	}
	cost := float64(costWire)
	if s.Path == control.PathRelay {
		cost += costRelay
	}
	if s.RTTms != nil {
		cost += costRTT * min(max(*s.RTTms-costNear, 0)/(costFar-costNear), 1)
	}
	if loss != nil {
		cost /= max(1-*loss, leastSound)
	}
	return int(math.Round(min(cost, costMost)))
}
