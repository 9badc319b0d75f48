package edge

import (
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// listing is what the list keeper knows of a peer.
type listing struct {
	session *dataplane.Session // in which the peer has said what follows
	head    *protocol.ListHead // of its list, verified if it is newer than ours; nil: it has none
	keys    uint64             // the version of its last key
	brings  bool               // it is in no list of ours, and named a newer one
	until   time.Time          // when that has to have come
	lied    bool               // it sent a piece of another list than it had named
	again   time.Time          // when it is told again what it lacks
	wait    time.Duration
	kept    bool      // the session is kept so that lists spread
	full    bool      // it was told all that members tell each other in a session
	shut    bool      // it says that we are in no list of its own
	barred  time.Time // when its session was last ended since it is no member

	heads  bucket.Bucket
	pieces bucket.Bucket
	strays bucket.Bucket
}
