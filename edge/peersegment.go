package edge

import (
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// peerSegment is what a peer says of its segment.
type peerSegment struct {
	serial     uint64
	state      protocol.SegmentState
	said       time.Time     // last
	forwarder  [32]byte      // who forwards instead of it, as it says
	neighbours [][32]byte    // that it says are on its segment, and may succeed it
	answers    bucket.Bucket // to it
	succession *succession   // nil: nobody claims to have succeeded it
}

// succession is the claim of a bridge that it has taken over the segment of another one,
// while that one is asked.
type succession struct {
	by    *peer
	began time.Time
	asked time.Time
}
