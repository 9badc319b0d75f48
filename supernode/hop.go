package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
)

// Times of a session between an edge and the supernode.
const (
	handshakeTime = 10 * time.Second   // for the first packet after RESP
	guestTime     = 60 * time.Second   // of silence, for a confirmed session without registration
	offlineTime   = 120 * time.Second  // of silence: six missed keepalives
	hopTime       = 1350 * time.Second // of life: edges make a new session after 900 s
	retiredTime   = 5 * time.Second    // for packets in flight when a newer session replaced it
)

// hop is one session with an edge. It begins as a guest: unconfirmed until its
// first valid packet, then confirmed, until the edge registers over it.
type hop struct {
	session   *crypto.HopSession
	static    [32]byte       // the edge's Noise static key
	hash      [32]byte       // handshake hash, bound by the proof of membership
	addr      netip.AddrPort // where packets go: an address that has proved itself
	source    netip.Addr     // by which new registrations from addr are counted
	created   time.Time
	heard     time.Time // last authentic packet
	retired   time.Time // when a newer session replaced it; zero: none has
	confirmed bool
	rtt       time.Duration // last measured; zero: unknown
	probe     probe
	reg       *registration // nil: a guest
	before    *hop          // the session that this one replaced, as long as it is retired
	directSet []uint32      // handles of the members that get its floods without us, sorted
}

// probe is a PING for whose PONG a session waits. It goes to the address in use, to
// measure the round trip, or to another one that an authentic packet came from: the
// session moves there only after the PONG, and sends at most as many bytes there
// until then as came from it.
type probe struct {
	addr    netip.AddrPort
	nonce   [8]byte
	sent    time.Time
	in, out int // bytes from and to addr while it has not proved itself
}

// dead reports whether packets of the session are refused from now on.
func (h *hop) dead(now time.Time) bool {
	switch {
	case !h.retired.IsZero():
		return now.Sub(h.retired) > retiredTime
	case !h.confirmed:
		return now.Sub(h.created) > handshakeTime
	case h.reg == nil:
		return now.Sub(h.heard) > guestTime
	}
	return now.Sub(h.created) > hopTime
}

// maySend reports whether size more bytes may go to an address.
func (h *hop) maySend(to netip.AddrPort, size int) bool {
	return to == h.addr || to == h.probe.addr && h.probe.out+size <= h.probe.in
}

// confirm notes the first authentic packet of a session: it proves that the
// edge received RESP at the address that sent INIT.
func (h *hop) confirm(now time.Time) {
	h.confirmed = true
	h.rtt = now.Sub(h.created)
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
