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

// sourceTable is how many buckets all sources share.
const sourceTable = 65536

// strangers limits the answers to senders without a session.
type strangers struct {
	hello, reset, stun bucket.Bucket
	stunSources        *bucket.Sources
	newcomers          *bucket.Sources
	helloMask          *crypto.Mask // of HELLO and WELCOME; everybody has its key
}

func newStrangers() strangers {
	return strangers{
		stunSources: bucket.NewSources(sourceTable),
		newcomers:   bucket.NewSources(sourceTable),
		helloMask:   crypto.NewMask(crypto.HelloMaskKey()),
	}
}

// answerHello answers an edge that does not know our key with a WELCOME that holds
// it: 96 bytes for 96 bytes.
func (s *Server) answerHello(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	mask := s.strangers.helloMask
	mask.Show(out.sc, pkt)
	nonce, err := protocol.ParseHello(pkt)
	if err != nil {
		s.refused.about(dropHeader, false, out.origin(from), nil)
		return
	}
	switch {
	case s.cfg.HelloOff:
		s.refused.about(dropHelloOff, false, out.origin(from), nil)
		return
	case !s.strangers.hello.Take(now, 1, helloRate, helloRate):
		s.refused.about(dropHello, false, out.origin(from), nil)
		return
	}
	var random [32]byte
	s.random.fill(random[:])
	out.admit(from)
	welcome := protocol.AppendWelcome(out.buffer(), nonce, s.Key(), random)
	mask.Hide(out.sc, welcome)
	out.sendPlain(welcome, from)
}
