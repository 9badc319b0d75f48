package bucket

import (
	"net/netip"
	"time"

	"hedgerow/internal/network"
)

// growth is how much more than the innermost network those around it may cause
// together: an IPv6 /56 twice as much as a /64, and a /48, or the /24 of an IPv4
// address, four times as much.
var growth = [network.Levels]float64{1, 2, 4}

// Networks is a table of Buckets for source addresses and for the networks that they
// lie in (network.Of). Each level is a table of fixed size as Sources is one, so that
// a flood from forged addresses makes neighbours share, and neither grows the table
// nor empties it: its share of each bucket is about its rate divided by their number.
type Networks struct {
	levels [network.Levels]*Sources
}

// NewNetworks returns a table of n full buckets for each level, n rounded up to a
// multiple of 256 and at least 256.
func NewNetworks(n int) *Networks {
	t := new(Networks)
	for i := range t.levels {
		t.levels[i] = NewSources(n)
	}
	return t
}

// Take takes one token for an address from what each of its networks has, and
// reports whether all had one; if one had not, Take changes nothing. rate and burst
// are those of Bucket.Take for an IPv4 address or an IPv6 /64. A /56 has two times,
// and a /48 or an IPv4 /24 four times as much.
func (t *Networks) Take(now time.Time, a netip.Addr, rate, burst float64) bool {
	var levels [network.Levels]places
	var key [9]byte
	for i, k := range network.Of(a) {
		levels[i] = t.levels[i].places(k.Append(key[:0]))
		if !levels[i].has(now, rate*growth[i], burst*growth[i]) {
			return false
		}
	}
	for i, p := range levels {
		p.take(now, rate*growth[i], burst*growth[i])
	}
	return true
}
