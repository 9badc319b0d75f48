package crypto

import "time"

// bucket is a token bucket in eight bytes: the time at which it is full again,
// in nanoseconds (the virtual scheduling of ITU-T I.371, known as GCRA).
type bucket struct{ full int64 }

// take takes one of burst tokens, which come back one per interval, and reports
// whether there was one. A clock that is set back finds a full bucket.
func (b *bucket) take(now time.Time, interval time.Duration, burst int64) bool {
	at := now.UnixNano()
	room := int64(interval) * burst
	full := b.full
	if full < at || full > at+room {
		full = at
	}
	if full += int64(interval); full > at+room {
		return false
	}
	b.full = full
	return true
}
