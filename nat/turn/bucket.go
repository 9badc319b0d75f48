package turn

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// bucket is a token bucket. Its zero value is full.
type bucket struct {
	spent float64 // tokens taken and not yet restored
	last  time.Time
}

// take takes cost tokens if they are there. rate is in tokens a second.
func (b *bucket) take(now time.Time, cost, rate, burst float64) bool {
	if passed := now.Sub(b.last); passed > 0 {
		b.spent = max(0, b.spent-passed.Seconds()*rate)
		b.last = now
	}
	if b.spent+cost > burst {
		return false
	}
	b.spent += cost
	return true
}

// sources is a fixed array of buckets, one for all sources that hash to it: a
// flood from many addresses can make neighbours share, never grow it.
type sources struct {
	seed    maphash.Seed
	buckets *[4096]bucket
}

func newSources() sources {
	return sources{seed: maphash.MakeSeed(), buckets: new([4096]bucket)}
}

// take takes one token of the bucket of a, which is that of its /64 for IPv6:
// the smallest network that one host may own.
func (s *sources) take(now time.Time, a netip.Addr, rate, burst float64) bool {
	key, n := a.As16(), 16
	if a.Is6() {
		n = 8
	}
	i := maphash.Bytes(s.seed, key[:n]) % uint64(len(s.buckets))
	return s.buckets[i].take(now, 1, rate, burst)
}
