package crypto

import (
	"encoding/binary"
	"time"
)

// rotatingSecret is a secret that is replaced every period. Only the current and
// the previous one are valid, and none comes back: generations are counted, not
// computed from a clock, so that a clock that is set back does not make an old
// one valid again.
type rotatingSecret struct {
	master [32]byte
	period time.Duration
	since  time.Time // when the current generation started
	gen    uint64    // 0 until the first use
}

// turn brings the generation up to date and reports how many have ended: 0, 1,
// or 2 when the previous one is over as well.
func (r *rotatingSecret) turn(now time.Time) (ended uint64) {
	switch age := now.Sub(r.since); {
	case r.gen == 0 || age < 0 || age >= 2*r.period:
		ended, r.since = 2, now
	case age >= r.period:
		ended, r.since = 1, r.since.Add(r.period)
	}
	r.gen += ended
	return ended
}

// key returns the secret of a generation.
func (r *rotatingSecret) key(gen uint64) [16]byte {
	return keyedHash(r.master[:], binary.BigEndian.AppendUint64(nil, gen))
}

// hash returns BLAKE2s-128 of the parts under the secret of a generation.
func (r *rotatingSecret) hash(gen uint64, parts ...[]byte) [16]byte {
	key := r.key(gen)
	return keyedHash(key[:], parts...)
}
