package edge

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// initiate has a handshake with a peer begin, unless one is under way: when the peer
// is settled, and its route is known.
func (s *sessions) initiate(p *peer) {
	p.sessions.init.wanted = true
	s.peers.mark(p)
}

// begin begins a handshake that is wanted.
func (s *sessions) begin(now time.Time, p *peer) {
	init := &p.sessions.init
	if init.wanted && !init.active() && s.self.isolation.greets(p) {
		pkt, err := init.initiator.Start(now)
		s.sendInit(now, p, pkt, err)
	}
	init.wanted = false
}

// retryInit repeats an INIT, or gives up.
func (s *sessions) retryInit(now time.Time, p *peer) {
	pkt, err := p.sessions.init.initiator.Retry(now)
	if err != nil && !p.sessions.init.active() {
		s.endHandshake(p)
		s.staged.discard(p)
	}
	s.sendInit(now, p, pkt, err)
}

// sendInit sends an INIT by every path on which the peer may be reached, unless
// it could not be made.
func (s *sessions) sendInit(now time.Time, p *peer, pkt []byte, err error) {
	s.peers.mark(p)
	s.await(p)
	if err != nil {
		s.refusals.note(refusal(handshake.Reason(err)), p, "initiating")
		return
	}
	init := &p.sessions.init
	r := p.view.Route()
	if !r.Direct.IsValid() || init.to.IsValid() {
		at := cmp.Or(init.to, p.reach.lan) // which of two members on a LAN greeted the other does not matter
		if at.IsValid() && s.routing.mayReach(now, p, at, len(pkt)) {
			r.Direct, r.Local = at, netip.Addr{}
		}
	}
	r.Dual = true
	s.pairs.out.SendPlain(&r, pkt)
	s.inits.sendInit(now, p, init.initiator.Attempts(), pkt)
}

// await notes under which index the answer to a peer's INIT is waited for.
func (s *sessions) await(p *peer) {
	init := &p.sessions.init
	if s.pending[init.index] == p {
		delete(s.pending, init.index)
	}
	if index, waits := init.initiator.Index(); waits {
		init.index = index
		s.pending[index] = p
	}
}

// endHandshake ends our handshake with a peer without a result.
func (s *sessions) endHandshake(p *peer) {
	p.sessions.init.initiator.Stop()
	p.sessions.init.wanted = false
	s.await(p)
	s.peers.mark(p)
}

// handleAnswer goes on with the handshake that a RESP, COOKIE or NOTICE answers.
func (s *sessions) handleAnswer(now time.Time, h protocol.Header, ev dataplane.HandshakeAnswer) {
	p := s.pending[h.RX]
	if p == nil {
		s.refusals.note(refusal(handshake.Reason(handshake.ErrIndex)), nil, "from", ev.Origin)
		return
	}
	s.peers.mark(p)
	init := &p.sessions.init
	again, done, err := init.initiator.Handle(now, ev.Packet)
	switch {
	case err != nil:
		s.refusals.note(refusal(handshake.Reason(err)), p, "from", ev.Origin)
	case again != nil:
		s.await(p)
		// A cookie is valid where it came from, but that may be forged, and what it
		// asks for is longer than itself.
		if back := ev.Origin.Route(); back.Supernode != nil || s.routing.mayReach(now, p, back.Direct, len(again)) {
			s.pairs.out.SendPlain(&back, again)
		}
	case done != nil:
		s.await(p)
		s.finished(now, p, done, ev.Origin)
	}
}

// finished begins to use the session of a handshake that we began.
func (s *sessions) finished(now time.Time, p *peer, done *handshake.Result, from dataplane.Origin) {
	e, err := s.newSession(now, p, done)
	if err != nil {
		s.refusals.note(refusedSession, p, "err", err)
		return
	}
	if !s.peers.stay(p) {
		s.refusals.note(refusedBookFull, p, "from", from)
		s.peers.forget(p)
		return
	}
	e.Confirm()
	p.place.source = placeSource(s.sourceOf(from))
	p.view.SetHeard(s.plane.Since(now))
	s.noteHandle(p, from)
	s.began(now, p, e, from)
	if from.Addr.IsValid() && !p.view.Route().Direct.IsValid() {
		// The responder waits for DATA, and there may be no supernode: an
		// empty one goes where the RESP came from.
		back := from.Route()
		s.pairs.sendBy(p, &back, 0, func(b []byte) []byte { return b })
	}
}

// noteHandle notes by which handle a supernode knows the sender of a packet that
// proved who it is.
func (s *sessions) noteHandle(p *peer, from dataplane.Origin) {
	if from.Supernode != nil {
		s.peers.setHandle(p, from.Supernode.ID(), from.Handle)
	}
}

// newSession makes the pair session of a finished handshake.
func (s *sessions) newSession(now time.Time, p *peer, done *handshake.Result) (*dataplane.Session, error) {
	cfg := done.SessionConfig(now)
	cfg.Null = s.keys.community.Insecure
	session, err := crypto.NewSession(cfg)
	if err != nil {
		return nil, err
	}
	p.place.mtu = int(done.MTU)
	return dataplane.NewSession(session, p.view, done.Features), nil
}

// handleInit answers an INIT. What fails is dropped without an answer, but for
// the cookie, the notice and the challenge that PROTOCOL.md asks for.
func (s *sessions) handleInit(now time.Time, ev dataplane.InitReceived) {
	source := s.sourceOf(ev.Origin)
	opening, answer, err := s.responder.Read(now, ev.Packet, source)
	back := ev.Origin.Route()
	if answer != nil {
		s.pairs.out.SendPlain(&back, answer)
	}
	if err != nil {
		s.refusals.note(refusal(handshake.Reason(err)), nil, "from", ev.Origin)
		if err == handshake.ErrOlder {
			s.refusals.older(now, ev.Origin)
		}
		return
	}
	if p := s.peers.byStatic[opening.Remote]; s.self.isolation.bars(p) && !s.self.isolation.admission.hears(now, p) {
		s.refusals.note(refusedIsolated, nil, "from", ev.Origin)
		return
	}
	var ours *handshake.Initiator
	if p := s.peers.byStatic[opening.Remote]; p != nil {
		ours = p.sessions.init.initiator
	}
	resp, done, err := s.responder.Answer(now, opening, ours)
	if resp != nil {
		s.pairs.out.SendPlain(&back, resp)
	}
	if err != nil {
		s.refusals.note(refusal(handshake.Reason(err)), nil, "from", ev.Origin)
		return
	}
	s.answered(now, s.peers.opened(now, opening.Remote, source), done, halfOpen{since: now, claimed: done.MAC, from: ev.Origin, source: source})
}

// answered keeps the session that an INIT of a peer has made until its first packet
// confirms it, and learns nothing. The table with it is published before the RESP
// leaves.
func (s *sessions) answered(now time.Time, p *peer, done *handshake.Result, half halfOpen) {
	e, err := s.newSession(now, p, done)
	if err != nil {
		s.refusals.note(refusedSession, p, "err", err)
		if p.place.unconfirmed && p.sessions.next == nil {
			s.peers.forget(p)
		}
		return
	}
	p.sessions.answer(now, e, s.draft)
	p.sessions.half = half
	s.peers.mark(p)
}

// sourceOf returns what an INIT's cookie is bound to and what its rate is counted
// under. A cookie is bound to address and port, or to the supernode and the source
// handle. For the rate, the sender behind each handle of a supernode has a /48 of
// its own in group space (ff00::/8), where no packet comes from: rates are counted for
// the networks around an address, too (bucket.Networks). So has each introducer, for
// all INITs that it forwards together, of its key.
func (s *sessions) sourceOf(from dataplane.Origin) handshake.Source {
	var rate [16]byte
	if from.Supernode != nil {
		h := from.Handle
		copy(rate[:], []byte{0xff, byte(h >> 24), byte(h >> 16), byte(h >> 8), byte(h), byte(from.Supernode.ID())})
		return handshake.Source{
			Cookie: fmt.Appendf(nil, "relay %d %08x", from.Supernode.ID(), from.Handle), Rate: netip.AddrFrom16(rate),
		}
	}
	cookie, _ := from.Addr.MarshalBinary()
	if by, ok := s.inits.introducerOf(from.Addr); ok {
		copy(rate[:8], by[:])
		return handshake.Source{Cookie: cookie, Rate: netip.AddrFrom16(rate)}
	}
	rated := from.Addr
	if far, ok := underlay.FarEnd(from.Addr); ok {
		rated = far // else all who send to further sockets and allocations would share a /64
	}
	return handshake.Source{Cookie: cookie, Rate: rated.Addr()}
}
