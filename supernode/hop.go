package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/internal/network"
	"hedgerow/protocol"
)

// Times of a session between an edge and the supernode.
const (
	handshakeTime = 10 * time.Second   // for the first packet after RESP
	guestTime     = 60 * time.Second   // of silence, for a confirmed session without registration
	silentTime    = 30 * time.Second   // of silence: edges send every 22 s at least, and four times in the second after
	offlineTime   = 120 * time.Second  // of silence: six missed keepalives
	hopTime       = 1350 * time.Second // of life: edges make a new session after 900 s
	retiredTime   = 5 * time.Second    // for packets in flight when a newer session replaced it
)

// hop is one session with an edge. It begins as a guest: unconfirmed until its
// first valid packet, then confirmed, until the edge registers over it.
type hop struct {
	session *crypto.HopSession
	static  [32]byte // the edge's Noise static key, which the handshake has proved
	hopTimes
	ends                 // where packets go: an address that has proved itself
	source netip.Addr    // by which what comes from addr is counted
	rtt    time.Duration // last measured; zero: unknown
	probe  probe
	visit  visit
	reg    *registration // nil: a guest
	before *hop          // the session of the same registration that it replaced, while packets of that may come
	others hopOthers
}

// hopOthers is what an edge and we have told each other of others in a session.
type hopOthers struct {
	direct  []uint32         // handles of those that get its floods without us, sorted
	lists   int              // how many times it was told who is here
	pieces  bucket.Bucket    // of the list of members
	noted   uint64           // the serial of the last REDIRECT that it has noted
	rotated uint64           // and of the last ROTATE
	rotate  *protocol.Rotate // what it is told of our new key; nil: it was not made
}

// visit is what a session has before a registration is its own.
type visit struct {
	hash      [32]byte             // of the handshake, bound by the proof of membership
	confirmed bool                 // an authentic packet came
	packets   bucket.Bucket        // of a guest
	place     *network.Place[*hop] // among the guests; nil: it needs none there
}

// hopTimes are the times in the life of a session.
type hopTimes struct {
	created time.Time
	heard   time.Time // last authentic packet
	retired time.Time // when a newer session replaced it; zero: none has
	kept    time.Time // when the stream that it comes by was last told to stay
}

// probe is a PING for whose PONG a session waits. It goes to the address in use, to
// measure the round trip, or to another one that an authentic packet came from: the
// session moves there only after the PONG, and until then sends there neither more
// packets nor more bytes than came from it.
type probe struct {
	ends
	nonce   [8]byte
	sent    time.Time
	in, out traffic // from and to addr while it has not proved itself
}

// traffic is what came from an address, or went there.
type traffic struct{ packets, bytes int }

func (t *traffic) count(size int) {
	t.packets++
	t.bytes += size
}

// dead reports whether packets of the session are refused from now on.
func (h *hop) dead(now time.Time) bool {
	switch {
	case h.us.key.gone():
		return true
	case !h.retired.IsZero():
		return now.Sub(h.retired) > retiredTime
	case !h.visit.confirmed:
		return now.Sub(h.created) > handshakeTime
	case h.reg == nil:
		return now.Sub(h.heard) > guestTime
	}
	return now.Sub(h.created) > hopTime
}

// maySend reports whether one more packet, of size bytes, may go to an address.
func (h *hop) maySend(to netip.AddrPort, size int) bool {
	p := &h.probe
	return to == h.addr || to == p.addr && p.out.packets < p.in.packets && p.out.bytes+size <= p.in.bytes
}

// route returns the ends between which a packet to one of the two addresses travels that
// maySend knows.
func (h *hop) route(to netip.AddrPort) ends {
	if to == h.addr {
		return h.ends
	}
	return h.probe.ends
}

// attributes returns what is known of the edge at the other end of a session.
func (h *hop) attributes() []any {
	switch {
	case h == nil:
		return nil
	case h.reg == nil:
		return []any{"session", h.session.LocalIndex()}
	}
	return h.reg.attributes()
}
