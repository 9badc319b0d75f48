// Package bucket has token buckets: what strangers and members may cause in a
// time. They own no clock, cost little in a table, and are not safe for concurrent
// use.
package bucket

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// Bucket is a token bucket. Its zero value is full. The caller names rate and burst
// each time, so that a bucket in a table costs 32 bytes and no more.
type Bucket struct {
	spent float64 // tokens taken and not yet restored
	last  time.Time
}

// Take takes cost tokens and reports whether they were there. rate is in tokens a
// second.
func (b *Bucket) Take(now time.Time, cost, rate, burst float64) bool {
	b.Restore(now, rate)
	return b.Spend(cost, burst)
}

// Restore gives back what the time since the last call has earned. A clock that
// went back gives nothing.
func (b *Bucket) Restore(now time.Time, rate float64) {
	if passed := now.Sub(b.last); passed > 0 {
		b.spent = max(0, b.spent-passed.Seconds()*rate)
		b.last = now
	}
}

// Spend is Take for a bucket that was restored at this time already.
func (b *Bucket) Spend(cost, burst float64) bool {
	if b.spent+cost > burst {
		return false
	}
	b.spent += cost
	return true
}

// Sources is a fixed array of buckets, one for all source addresses that hash to
// it: a flood from many addresses can make neighbours share, never grow it.
type Sources struct {
	seed    maphash.Seed
	buckets []small
}

// small is a bucket of 16 bytes.
type small struct {
	spent float32
	last  int64 // nanoseconds of the unix clock
}

// NewSources returns n full buckets.
func NewSources(n int) *Sources {
	return &Sources{seed: maphash.MakeSeed(), buckets: make([]small, n)}
}

// Take takes one token of the bucket of a, which is that of its /64 for IPv6: the
// smallest network that one host may own.
func (s *Sources) Take(now time.Time, a netip.Addr, rate, burst float32) bool {
	key, n := a.As16(), 16
	if a.Is6() && !a.Is4In6() {
		n = 8
	}
	b := &s.buckets[maphash.Bytes(s.seed, key[:n])%uint64(len(s.buckets))]
	at := now.UnixNano()
	if passed := at - b.last; passed > 0 {
		b.spent = max(0, b.spent-float32(passed)/1e9*rate)
		b.last = at
	}
	if b.spent+1 > burst {
		return false
	}
	b.spent++
	return true
}
