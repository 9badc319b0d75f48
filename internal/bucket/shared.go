package bucket

import (
	"sync/atomic"
	"time"
)

// Rate is how many tokens come back in a time, and how many a bucket holds, as
// Shared.Take wants them: times in nanoseconds, so that nothing is divided for each
// token.
type Rate struct {
	every int64 // until one token is back
	room  int64 // until a whole bucket is
}

// NewRate returns the rate of tokens a second with a burst. Both are at least 1.
func NewRate(tokens, burst int) Rate {
	every := max(1, int64(time.Second)/int64(max(1, tokens)))
	return Rate{every: every, room: every * int64(max(1, burst))}
}

// PerSecond returns how many tokens come back in a second, rounded.
func (r Rate) PerSecond() int { return int((int64(time.Second) + r.every/2) / r.every) }

// Shared is a token bucket for several goroutines at once. Its zero value is full.
type Shared struct {
	full atomic.Int64 // when it is full again: nanoseconds of its caller's clock
}

// tries is how often Take begins anew when goroutines meet in one bucket: then there
// are many who take, and it does not matter who of them goes without.
const tries = 4

// Take takes n tokens and reports whether there were as many; if not, it takes none.
// now is in nanoseconds of a clock that is never set back.
func (b *Shared) Take(now, n int64, r Rate) bool {
	for range tries {
		full := b.full.Load()
		next := max(full, now) + n*r.every
		if next > now+r.room {
			return false
		}
		if b.full.CompareAndSwap(full, next) {
			return true
		}
	}
	return false
}

// Has reports whether Take would succeed, and takes nothing.
func (b *Shared) Has(now, n int64, r Rate) bool {
	return max(b.full.Load(), now)+n*r.every <= now+r.room
}
