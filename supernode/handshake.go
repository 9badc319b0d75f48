package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/handshake"
)

// newResponder returns the responder of the handshakes between edges and us: no
// community, and no access key. What it counts and refuses is in package
// handshake.
func (s *Server) newResponder() *handshake.Responder {
	return handshake.NewResponder(handshake.ResponderConfig{
		Party: &handshake.Party{
			Hop: true, Identity: s.identity, Rand: s.cfg.Rand,
			Index: func() uint32 { return s.hops.freeIndex(s.random.number) },
		},
		InitRate: s.cfg.Limits.InitRate,
		Room:     func() bool { return s.hops.guests < s.cfg.Limits.Guests },
	})
}

// answerInit makes a session with an edge: it answers an INIT with RESP, with a
// challenge or, under load, with COOKIE.
func (s *Server) answerInit(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	proves := sourceBytes(from)
	opening, cookie, err := s.responder.Read(now, pkt, handshake.Source{Cookie: proves[:], Rate: initSource(from, out.source)})
	if cookie != nil {
		out.send(cookie, from)
	}
	if err != nil {
		s.refused.init(out.origin(from), err)
		return
	}
	resp, result, err := s.responder.Answer(now, opening, nil)
	if resp != nil {
		out.send(resp, from)
	}
	if err != nil {
		s.refused.init(out.origin(from), err)
		return
	}
	session, err := crypto.NewHopSession(result.SessionConfig(now))
	if err != nil {
		s.refused.init(out.origin(from), err)
		return
	}
	s.hops.add(&hop{
		session: session, static: result.Remote, hash: result.Keys.Hash,
		addr: from, source: out.source, created: now, heard: now,
	})
}
