package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// sessions is the owner of the pair sessions: it makes, confirms, renews and ends
// them, and keeps the frames that wait for one.
type sessions struct {
	peers     *peers
	pairs     pairSender
	routing   pathKeeper
	inits     initForwarder
	keys      *keyring
	self      *self
	party     *handshake.Party
	responder *handshake.Responder
	pending   map[uint32]*peer // INITs under way, by our index
	staged    staged
	unvouched unvouched
	draft     *dataplane.Draft
	plane     *dataplane.Plane
	refusals  *refusals
	timers    timer.Queue
}

// pathKeeper is what sessions need of routing: it is told when a peer's session
// begins and ends, and what is heard of the peer, and says where an INIT may go.
type pathKeeper interface {
	start(now time.Time, p *peer)
	stop(p *peer)
	heard(now time.Time, p *peer, from dataplane.Origin)
	restarted(now time.Time, p *peer)
	mayReach(now time.Time, p *peer, at netip.AddrPort, length int) bool
}

// initForwarder sends INITs where no supernode carries them.
type initForwarder interface {
	sendInit(now time.Time, p *peer, attempt int, pkt []byte)
	introducerOf(a netip.AddrPort) (static [32]byte, ok bool)
	routeTo(p *peer) *dataplane.Route
}

func (s *sessions) deadline() time.Time { return s.timers.Next() }
func (s *sessions) tick(now time.Time)  { s.timers.Run(now) }

// open makes the maps and the responder.
func (s *sessions) open() {
	s.pending = make(map[uint32]*peer)
	s.responder = handshake.NewResponder(handshake.ResponderConfig{Party: s.party})
	s.staged.open(&s.timers, s.plane)
	s.unvouched.open(&s.timers, s.plane)
}

// prepare makes the substate of a peer that was just met.
func (s *sessions) prepare(p *peer) {
	p.sessions.init.initiator = handshake.NewInitiator(s.party, p.view.Static())
	p.sessions.init.retry = s.peers.timer(&s.timers, "repeat an INIT", p, s.retryInit)
	p.sessions.expiring = s.peers.timer(&s.timers, "end or renew a session", p, s.expire)
}

// needed is called when frames go to or come from a peer: it should have a
// session, and a fresh one.
func (s *sessions) needed(now time.Time, p *peer) {
	if p.sessions.sealing() == nil {
		s.initiate(p)
	} else {
		s.expire(now, p)
	}
}

// expire drops sessions past their time and renews the current one while it is in
// use.
func (s *sessions) expire(now time.Time, p *peer) {
	s.peers.mark(p)
	if p.sessions.expire(now, s.draft) {
		s.routing.stop(p)
		return
	}
	if p.place.unconfirmed && p.sessions.next == nil {
		s.peers.forget(p) // its INIT was all that we had of it
		return
	}
	worn, old := p.sessions.due(now)
	if !worn && !old {
		return
	}
	p.sessions.renewAt = time.Time{} // the next use asks again
	if worn || s.wanted(now, p) {
		s.initiate(p)
	}
}

// wanted reports whether a session is worth renewing: frames pass, a direct path is
// being kept open for them, or it is kept while nothing passes.
func (s *sessions) wanted(now time.Time, p *peer) bool {
	return s.peers.active(now, p) || p.place.keepsSession() || p.identity.listing.kept || p.reach.path != nil && p.reach.path.Route().Direct.IsValid()
}

// began makes a session the current one: frames move to it, and the peer is told
// what it needs to open our GROUP packets and to find us directly.
func (s *sessions) began(now time.Time, p *peer, e *dataplane.Session, from dataplane.Origin) {
	p.sessions.promote(e, s.draft)
	p.view.SetFeatures(e.Features())
	s.self.announced(p, e.Features())
	p.sessions.introduce, p.identity.listing.full = true, false
	p.seen = now
	s.peers.pin(now, p)
	s.keys.learn(now, e.Crypto().KI())
	s.routing.start(now, p)
	if from.Addr.IsValid() {
		s.routing.heard(now, p, from)
	}
	s.peers.mark(p)
}

// confirm adopts a session that we answered, at its first valid packet. Only now is
// anything learned from the INIT that it began with: anybody may have sent that once
// more, from anywhere. A handle is the peer's if INIT and packet came by it.
func (s *sessions) confirm(now time.Time, p *peer, session *crypto.Session, from dataplane.Origin) {
	next := p.sessions.next
	if next == nil || next.Crypto() != session {
		return
	}
	if !s.peers.stay(p) {
		s.refusals.note(refusedBookFull, p, "from", from)
		s.peers.forget(p)
		return
	}
	half := p.sessions.half
	p.place.source = placeSource(half.source)
	p.sessions.claimed = half.claimed
	s.endHandshake(p) // its INIT won over ours, if there was one
	if from.Supernode == half.from.Supernode && from.Handle == half.from.Handle {
		s.noteHandle(p, from)
	}
	s.began(now, p, next, from)
}

// closed ends the sessions with a peer that said good-bye.
func (s *sessions) closed(p *peer) {
	if p.sessions.none() {
		return
	}
	p.sessions.clear(s.draft)
	s.endHandshake(p)
	for i := range p.handles {
		s.peers.setHandle(p, i, 0)
	}
	s.routing.stop(p)
}

// restart makes a new session with a peer whose process is another one: what the
// old one still sent is opened, and our frames go as GROUP until then.
func (s *sessions) restart(now time.Time, p *peer) {
	s.endHandshake(p)
	p.sessions.retire()
	s.routing.restarted(now, p)
	s.initiate(p)
}

// renewAll makes new sessions with everybody: the counters of the old ones may
// have been used by a copy of this machine. A session that we answered and that is not
// confirmed yet must not come into use either, and a handshake under way has an
// ephemeral key that the copy has, too.
func (s *sessions) renewAll(now time.Time) {
	for _, p := range s.peers.byStatic {
		switch {
		case p.sessions.idle():
			continue
		case p.place.unconfirmed:
			s.peers.forget(p) // that INIT was all that we had of it
			continue
		}
		p.sessions.retire()
		drop(&p.sessions.next, s.draft)
		s.endHandshake(p)
		s.initiate(p)
	}
}

// release lets go of a peer that was forgotten.
func (s *sessions) release(p *peer) {
	p.sessions.clear(s.draft)
	s.endHandshake(p)
	p.sessions.expiring.Stop()
	p.sessions.init.retry.Stop()
	s.staged.discard(p)
}

// settle tells a peer who we are if it has to be told, and sends what waited for
// its session or came before it was known.
func (s *sessions) settle(now time.Time, p *peer) {
	s.begin(now, p)
	members := s.self.isolation.admission
	if members.on && p.sessions.current != nil && !p.identity.listing.full && members.trusts(p) {
		p.sessions.introduce = true // there is more to say
	}
	if p.sessions.introduce && p.sessions.sealing() != nil {
		p.sessions.introduce = false
		s.introduce(p)
	}
	if s.carries(p) {
		s.pairs.out.SendStaged(now, p.view, s.staged.remove(p))
	}
	s.releaseUnvouched(now, p)
}

// schedule registers when a session of a peer wants attention.
func (s *sessions) schedule(p *peer) {
	p.sessions.expiring.Set(p.sessions.deadline())
	p.sessions.init.retry.Set(p.sessions.init.initiator.Deadline())
}

// goodbye tells every peer with a session that we leave.
func (s *sessions) goodbye() {
	for _, p := range s.peers.byStatic {
		s.pairs.send(p, (&protocol.Close{}).Append)
	}
}

// introduce sends a peer what it needs at the start of a session: the salts
// that we vouch for, who we are, and where we may be reached. In a community with a list of
// members whoever is not known to be one hears who we are, and which list we have.
func (s *sessions) introduce(p *peer) {
	r := p.view.Route()
	r.Dual = true
	if other := s.inits.routeTo(p); other != nil && !r.Direct.IsValid() {
		r.Direct = other.Direct
	}
	s.pairs.sendBy(p, &r, 0, func(b []byte) []byte {
		if members := s.self.isolation.admission; members.on {
			b = s.self.listed.append(b)
			if p.identity.listing.full = members.trusts(p); !p.identity.listing.full {
				return s.self.appendStatement(b)
			}
		}
		b = s.self.append(s.keys.appendSaltsTo(p.view, b))
		if s.self.segment != nil && p.view.Features()&protocol.FeatureHosts != 0 {
			b = s.self.segment(b)
		}
		return b
	})
}

// introduceAll tells everybody who we are: our addresses have changed.
func (s *sessions) introduceAll() {
	for _, p := range s.peers.byStatic {
		p.sessions.introduce = true
		s.peers.mark(p)
	}
}

// vouch tells every peer with a session what we send GROUP packets under, by
// every path: a peer that misses this hears no flood of ours until it has asked
// again.
func (s *sessions) vouch() {
	for _, p := range s.peers.byStatic {
		if p.sessions.current != nil && s.self.isolation.admission.trusts(p) {
			r := p.view.Route()
			r.Dual = true
			s.pairs.sendBy(p, &r, 0, s.keys.appendSalts)
		}
	}
}

// learnSalt notes a salt that a peer vouches for.
func (s *sessions) learnSalt(now time.Time, p *peer, m protocol.Salt) {
	v := crypto.GroupVouch{KI: m.KI, XF: uint8(m.XF), Salt: m.Salt, Lowest: m.Lowest, Serial: m.Serial}
	s.plane.Groups().Vouch(s.plane.Wall(now), p.view.Static(), v)
	s.peers.mark(p)
}
