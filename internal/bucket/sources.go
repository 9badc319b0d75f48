package bucket

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// pageLen is how many buckets are allocated at once.
const pageLen = 256

// Sources is a table of buckets for source addresses. Its size is fixed: a flood from
// many addresses makes neighbours share, and never grows the table. Each address has two
// places, and has what the fuller of both has; so one that shares a place with whoever
// floods, as some always do, is not kept out unless it shares the other one as well. What
// it takes, both owe, but the other one not more than that (a count-min sketch with
// conservative update: Estan and Varghese, "New Directions in Traffic Measurement and
// Accounting", SIGCOMM 2002). The hash is seeded at random, so that nobody can aim at the
// places of another address. A page of 256 buckets, 2 KiB, is allocated when one of them
// is used first.
type Sources struct {
	seed  maphash.Seed
	pages []*[pageLen]Bucket
}

// NewSources returns a table of n full buckets, n rounded up to a multiple of 256
// and at least 256.
func NewSources(n int) *Sources {
	return &Sources{seed: maphash.MakeSeed(), pages: make([]*[pageLen]Bucket, max(1, (n+pageLen-1)/pageLen))}
}

// Take takes one token for the address a and reports whether there was one; rate and
// burst are those of Bucket.Take. An IPv4 address has what is its own, also when it is
// written as an IPv6 address; an IPv6 address shares what its /64 has, since an end site
// has at least that much (RFC 6177). Zones do not count.
func (s *Sources) Take(now time.Time, a netip.Addr, rate, burst float64) bool {
	return s.of(a).take(now, rate, burst)
}

// Has reports whether Take would succeed, and takes nothing: for callers that do not
// know yet whether a packet is of whom it claims to be.
func (s *Sources) Has(now time.Time, a netip.Addr, rate, burst float64) bool {
	return s.of(a).has(now, rate, burst)
}

// of returns the places of an address.
func (s *Sources) of(a netip.Addr) places {
	key, n := a.As16(), 16
	if a.Is6() && !a.Is4In6() {
		n = 8
	}
	return s.places(key[:n])
}

// places returns the places that a key hashes to.
func (s *Sources) places(key []byte) places {
	h, n := maphash.Bytes(s.seed, key), uint64(len(s.pages)*pageLen)
	return places{s.bucket(h % n), s.bucket(h >> 32 % n)}
}

// bucket returns a bucket of the table.
func (s *Sources) bucket(i uint64) *Bucket {
	page := s.pages[i/pageLen]
	if page == nil {
		page = new([pageLen]Bucket)
		s.pages[i/pageLen] = page
	}
	return &page[i%pageLen]
}

// places are the two buckets of a key, which may be one.
type places [2]*Bucket

// take takes one token from the fuller one, and reports whether there was one.
func (p places) take(now time.Time, rate, burst float64) bool {
	t, ok := termsOf(now, 1, rate, burst)
	one, two := p[0].owed(t), p[1].owed(t)
	full := min(one, two) + t.cost
	if !ok || full > t.at+t.room {
		return false
	}
	p[0].full, p[1].full = max(one, full), max(two, full)
	return true
}

// has reports whether take would succeed.
func (p places) has(now time.Time, rate, burst float64) bool {
	return p[0].Has(now, 1, rate, burst) || p[1].Has(now, 1, rate, burst)
}
