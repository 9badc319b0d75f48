package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

// Rates of answers to strangers, a second and over all sources.
const (
	helloRate      = 100
	resetRate      = 100
	stunRate       = 1000
	stunSourceRate = 10 // of one IPv4 address or IPv6 /64
	stunPaddedRate = 64 // the same, when the answer is not longer than the request
)

// How many edges that were never seen before may register from one IPv4 address
// or IPv6 /64: whole offices at once, but too few in the time that a lease lasts
// to fill the registry from one place.
const (
	newcomerRate  = 1 // a second
	newcomerBurst = 256
)

// sourceTable is how many buckets all sources share (PROTOCOL.md, section 10).
const sourceTable = 65536

// strangers is what answers to those without a session are limited by.
type strangers struct {
	hello, reset, stun bucket.Bucket
	stunSources        *bucket.Sources
	newcomers          *bucket.Sources
	helloMask          *crypto.Mask
	inits              rateMeter
}

func newStrangers() strangers {
	return strangers{
		stunSources: bucket.NewSources(sourceTable),
		newcomers:   bucket.NewSources(sourceTable),
		helloMask:   crypto.NewMask(crypto.HelloMaskKey()),
	}
}

// rateMeter counts events in whole seconds.
type rateMeter struct {
	second     int64
	count, was int
}

// add counts one event and returns the greater of this second's count and the
// last second's, so that a steady flood reads as one from its second second on
// and not only late in each.
func (m *rateMeter) add(now time.Time) int {
	if t := now.Unix(); t != m.second {
		if t == m.second+1 {
			m.was = m.count
		} else {
			m.was = 0
		}
		m.second, m.count = t, 0
	}
	m.count++
	return max(m.count, m.was)
}

// answerHello tells an edge that knows no key of ours which one it is: 96 bytes
// for 96 bytes.
func (s *Server) answerHello(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	mask := s.strangers.helloMask
	mask.Show(out.sc, pkt)
	nonce, err := protocol.ParseHello(pkt)
	if err != nil {
		s.drops.drop(dropHeader)
		return
	}
	if s.cfg.HelloOff || !s.strangers.hello.Take(now, 1, helloRate, helloRate) {
		s.drops.drop(dropHello)
		return
	}
	var random [32]byte
	s.random(random[:])
	out.admit(from)
	welcome := protocol.AppendWelcome(out.buffer(), nonce, s.Key(), random)
	mask.Hide(out.sc, welcome)
	out.sendPlain(welcome, from)
}
