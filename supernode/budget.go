package supernode

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// bucket is a token bucket. Its zero value is full. The caller names rate and
// burst each time, so that a bucket in a table costs 24 bytes and no more.
type bucket struct {
	spent float64 // tokens taken and not yet restored
	last  time.Time
}

// take takes cost tokens if they are there. rate is in tokens a second.
func (b *bucket) take(now time.Time, cost, rate, burst float64) bool {
	b.restore(now, rate)
	return b.spend(cost, burst)
}

// restore gives back what the time since the last call has earned.
func (b *bucket) restore(now time.Time, rate float64) {
	if passed := now.Sub(b.last); passed > 0 {
		b.spent = max(0, b.spent-passed.Seconds()*rate)
		b.last = now
	}
}

// spend is take for a bucket that was restored at this time already.
func (b *bucket) spend(cost, burst float64) bool {
	if b.spent+cost > burst {
		return false
	}
	b.spent += cost
	return true
}

// sourceBuckets is a fixed array of buckets, one for all sources that hash to
// it: a flood from many addresses can make neighbours share, never grow it.
type sourceBuckets struct {
	seed    maphash.Seed
	buckets [65536]struct {
		spent float32
		last  int64 // nanoseconds of the unix clock
	}
}

func newSourceBuckets() *sourceBuckets {
	return &sourceBuckets{seed: maphash.MakeSeed()}
}

// take takes one token of the bucket of a, which is that of its /64 for IPv6:
// the smallest network that one host may own.
func (t *sourceBuckets) take(now time.Time, a netip.Addr, rate, burst float32) bool {
	key, n := a.As16(), 16
	if a.Is6() && !a.Is4In6() {
		n = 8
	}
	b := &t.buckets[maphash.Bytes(t.seed, key[:n])%uint64(len(t.buckets))]
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
