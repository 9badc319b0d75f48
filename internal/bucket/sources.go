package bucket

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// pageLen is how many buckets are allocated at once.
const pageLen = 256

// Sources is a table of buckets for source addresses. Its size is fixed:
// addresses that hash to the same place share a bucket, so that a flood from many
// addresses can make neighbours share and never grows the table. The hash is
// seeded at random, so that nobody can aim at the bucket of another address. A
// page of 256 buckets, 2 KiB, is allocated when one of them is used first.
type Sources struct {
	seed  maphash.Seed
	pages []*[pageLen]Bucket
}

// NewSources returns a table of n full buckets, n rounded up to a multiple of 256
// and at least 256.
func NewSources(n int) *Sources {
	return &Sources{seed: maphash.MakeSeed(), pages: make([]*[pageLen]Bucket, max(1, (n+pageLen-1)/pageLen))}
}

// Take takes one token from the bucket of the address a and reports whether there
// was one; rate and burst are those of Bucket.Take. An IPv4 address has a bucket
// of its own, also when it is written as an IPv6 address; an IPv6 address shares
// that of its /64, since an end site has at least that much (RFC 6177). Zones do
// not count.
func (s *Sources) Take(now time.Time, a netip.Addr, rate, burst float64) bool {
	return s.of(a).Take(now, 1, rate, burst)
}

// Has reports whether Take would succeed, and takes nothing: for callers that do not
// know yet whether a packet is of whom it claims to be.
func (s *Sources) Has(now time.Time, a netip.Addr, rate, burst float64) bool {
	return s.of(a).Has(now, 1, rate, burst)
}

// of returns the bucket of an address.
func (s *Sources) of(a netip.Addr) *Bucket {
	key, n := a.As16(), 16
	if a.Is6() && !a.Is4In6() {
		n = 8
	}
	return s.bucket(key[:n])
}

// bucket returns the bucket that a key hashes to.
func (s *Sources) bucket(key []byte) *Bucket {
	i := maphash.Bytes(s.seed, key) % uint64(len(s.pages)*pageLen)
	page := s.pages[i/pageLen]
	if page == nil {
		page = new([pageLen]Bucket)
		s.pages[i/pageLen] = page
	}
	return &page[i%pageLen]
}
