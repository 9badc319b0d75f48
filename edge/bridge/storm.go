package bridge

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"

	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// Limits of storm control in frames a second, and in frames at once. 500 hosts behind
// one edge broadcast some 150 frames a second, most of them names that are looked up;
// a router that comes back asks for each of them by ARP at once, and for each again
// within a minute. A host that multicasts 5 Mbit/s of video sends 475 frames a second
// and needs --storm 500.
const (
	// DefaultStorm is how many frames of class Data one host may have flooded.
	DefaultStorm = 200
	// MostStorm is the most that can be set.
	MostStorm = 100_000

	edgeShare    = 5 // of an edge: 5/2 times as many as of one host
	ofShares     = 2
	dataBurst    = 2 // seconds of the rate
	controlHost  = 50
	controlSweep = 600 // at once: a router asks for 500 hosts
	controlEdge  = 500
	controlStart = 2000 // at once: everybody comes back after a power cut

	// What arrives is not as even as what was sent. A receiver has a quarter more
	// patience, so that it limits only whoever does not limit himself.
	patience   = 5
	ofPatience = 4
)

// stormSources is how many buckets there are for hosts. Hosts share one by chance when
// there are many; no number of them grows the table.
const stormSources = 2048

// Storm is storm control (as of IEEE 802.1Q bridges, by frames): it limits what is
// flooded, for each host and then for each edge. It knows hosts by a table of fixed
// size whose hash is keyed, so that nobody can aim at another's bucket, and takes
// from a host's bucket only what the edge's has room for: whoever invents addresses
// uses up the share of his edge and nobody else's. It is safe for concurrent use.
type Storm struct {
	keys    [2]uint64
	off     bool
	host    [classes]bucket.Rate
	edge    [classes]bucket.Rate
	sources [stormSources]stormSource
}

// stormSource is what hosts with one hash share.
type stormSource struct {
	buckets [classes]bucket.Shared
	excess  Repeats
}

// EdgeStorm is the share of one edge: of a peer for what comes from it, of our own
// side for what we send.
type EdgeStorm struct {
	name    uint64 // tells edges apart where their hosts have the same addresses
	buckets [classes]bucket.Shared
	excess  Repeats
	limited atomic.Uint64
}

// Excess is what a source sent beyond its limit.
type Excess struct {
	Source protocol.MAC // zero: hosts of the edge together
	Class  Class
	Limit  int    // frames a second
	Count  uint64 // frames since the last time that it was told
}

// NewStorm returns storm control for what this edge sends, or for what it receives,
// with a limit for each host in frames of class Data a second; 0 is the default, and a
// negative one limits nothing.
func NewStorm(limit int, receives bool) *Storm {
	s := &Storm{keys: [2]uint64{rand.Uint64(), rand.Uint64()}, off: limit < 0}
	if limit == 0 {
		limit = DefaultStorm
	}
	rate := func(tokens, burst int) bucket.Rate {
		if receives {
			tokens, burst = tokens*patience/ofPatience, burst*patience/ofPatience
		}
		return bucket.NewRate(tokens, burst)
	}
	s.host = [classes]bucket.Rate{Data: rate(limit, limit*dataBurst), Control: rate(controlHost, controlSweep)}
	all := limit * edgeShare / ofShares
	s.edge = [classes]bucket.Rate{Data: rate(all, all*dataBurst), Control: rate(controlEdge, controlStart)}
	return s
}

// NewEdgeStorm returns the share of the edge with a static key.
func NewEdgeStorm(static [32]byte) *EdgeStorm {
	return &EdgeStorm{name: binary.BigEndian.Uint64(static[:])}
}

// Limited returns how many frames of the edge were over a limit.
func (e *EdgeStorm) Limited() uint64 { return e.limited.Load() }

// Passes reports whether a frame that is flooded is within the limits, or as many as a
// super-frame becomes, and if not, whether it is time to tell of it: of x.
func (s *Storm) Passes(now int64, e *EdgeStorm, src protocol.MAC, c Class, frames int) (ok bool, x Excess, tell bool) {
	if s.off {
		return true, x, false
	}
	h := s.source(e, src)
	host, edge, n := &h.buckets[c], &e.buckets[c], int64(frames)
	if edge.Has(now, n, s.edge[c]) && host.Take(now, n, s.host[c]) && edge.Take(now, n, s.edge[c]) {
		return true, x, false
	}
	e.limited.Add(uint64(frames))
	over, x := &h.excess, Excess{Source: src, Class: c, Limit: s.host[c].PerSecond()}
	if host.Has(now, n, s.host[c]) { // it is not this host alone
		over, x = &e.excess, Excess{Class: c, Limit: s.edge[c].PerSecond()}
	}
	x.Count, tell = over.Add(now)
	return false, x, tell
}

// source returns what a host behind an edge shares with others of its hash: the product
// of edge and host under secret keys, folded, which is a few instructions for each frame.
func (s *Storm) source(e *EdgeStorm, src protocol.MAC) *stormSource {
	host := uint64(binary.BigEndian.Uint32(src[:]))<<16 | uint64(binary.BigEndian.Uint16(src[4:]))
	high, low := bits.Mul64(e.name^s.keys[0], host^s.keys[1])
	return &s.sources[(high^low)%stormSources]
}
