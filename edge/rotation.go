package edge

import (
	"time"

	"hedgerow/crypto"
)

// rotation is what a supernode has said of another key.
type rotation struct {
	serial uint64       // of the one that is kept
	next   *nextKey     // that is tried; nil: none is
	former *crypto.Mask // of the key before, while a session by that is opened
	looked time.Time    // when one was looked at last
	rests  time.Time    // until when none counts after one did
}

// nextKey is a key that takes the place of another.
type nextKey struct {
	key    [32]byte
	serial uint64
	mask   *crypto.Mask
}
