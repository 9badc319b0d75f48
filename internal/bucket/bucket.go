// Package bucket has the token buckets that limit how much strangers and members
// may cause in a time: one kind, in five sizes.
//
//   - Bucket is the bare bucket. Its caller names rate and burst in each call, so
//     that a bucket in a table costs 8 bytes and a limit may be configured.
//   - Limiter is a Bucket with a rate and a burst of its own.
//   - Sources is a bounded table of Buckets, two for each source address.
//   - Networks are three of them, for an address and for the networks around it, so
//     that whoever has many addresses has no more than one who has few.
//   - Shared is a bare bucket for several goroutines at once.
//
// All of them use the generic cell rate algorithm (ITU-T I.371, Annex A, virtual
// scheduling): a bucket stores the time at which it will be full again, and
// nothing else. Time is an argument; the wall clock is used, to the nanosecond.
// None but Shared is safe for concurrent use.
package bucket

import "time"

// maxRoom bounds what a bucket holds, in nanoseconds of its rate: about 73 years,
// so that no sum below overflows.
const maxRoom = 1 << 61

// Bucket is a token bucket. Its zero value is full.
type Bucket struct {
	full int64 // when it is full again: nanoseconds of the Unix clock
}

// Take takes cost tokens at the time now and reports whether the bucket had them;
// if it had not, Take changes nothing. rate is in tokens a second, burst is how
// many tokens the bucket holds. With a rate of 0 or less Take never succeeds. One
// token lasts for 1/rate seconds, rounded down to nanoseconds, so that a rate of
// more than 1e9*cost is no limit.
//
// Callers may name another rate or burst each time: what was taken is then owed
// as time, not as tokens. A clock that is set back further than the bucket
// reaches finds it full, so that no bucket stays empty until the clock is where
// it was.
func (b *Bucket) Take(now time.Time, cost, rate, burst float64) bool {
	full, ok := b.after(now, cost, rate, burst)
	if ok {
		b.full = full
	}
	return ok
}

// Has reports whether Take would succeed, and takes nothing: for callers that ask
// several buckets before they take from any.
func (b *Bucket) Has(now time.Time, cost, rate, burst float64) bool {
	_, ok := b.after(now, cost, rate, burst)
	return ok
}

// Full reports whether the bucket has nothing to remember: it is as its zero value.
func (b *Bucket) Full(now time.Time) bool { return b.full <= now.UnixNano() }

// after returns when the bucket would be full again after Take, and whether Take
// may succeed.
func (b *Bucket) after(now time.Time, cost, rate, burst float64) (full int64, ok bool) {
	t, ok := termsOf(now, cost, rate, burst)
	full = b.owed(t) + t.cost
	return full, ok && full <= t.at+t.room
}

// owed returns when the bucket is full again, which is now if it is.
func (b *Bucket) owed(t terms) int64 {
	if b.full < t.at || b.full > t.at+t.room {
		return t.at
	}
	return b.full
}

// terms are those of a Take, in nanoseconds.
type terms struct {
	at   int64 // of the Unix clock
	room int64 // that a whole bucket lasts
	cost int64
}

// termsOf returns the terms; ok is false if Take fails whatever is in the bucket.
func termsOf(now time.Time, cost, rate, burst float64) (t terms, ok bool) {
	if !(rate > 0) || cost > burst {
		return terms{}, false
	}
	perToken := float64(time.Second) / rate
	// The room is rounded, so that burst tokens fit.
	return terms{at: now.UnixNano(), room: nanoseconds(burst*perToken + 0.5), cost: nanoseconds(cost * perToken)}, true
}

// nanoseconds returns n rounded down, and at most maxRoom.
func nanoseconds(n float64) int64 {
	if n < maxRoom {
		return int64(n)
	}
	return maxRoom
}

// Limiter is a Bucket with its rate and its burst. The zero value lets nothing
// pass.
type Limiter struct {
	rate, burst float64
	bucket      Bucket
}

// NewLimiter returns a full bucket of burst tokens, which come back at rate tokens
// a second.
func NewLimiter(rate, burst float64) Limiter { return Limiter{rate: rate, burst: burst} }

// Take takes one token and reports whether there was one.
func (l *Limiter) Take(now time.Time) bool { return l.bucket.Take(now, 1, l.rate, l.burst) }
