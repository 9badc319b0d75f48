package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/handshake"
)

// handshakes make the sessions with edges, by package handshake.
type handshakes struct {
	responder *handshake.Responder
	sessions  *sessions
	refused   *refusals
}

// newHandshakes returns the owner of the handshakes between edges and us: no
// community, and no access key. What the responder counts and refuses is in package
// handshake.
func newHandshakes(identity *crypto.Identity, initRate int, sessions *sessions, random random, refused *refusals) *handshakes {
	return &handshakes{
		sessions: sessions, refused: refused,
		responder: handshake.NewResponder(handshake.ResponderConfig{
			Party: &handshake.Party{
				Hop: true, Identity: identity, Rand: random.source,
				Index: func() uint32 { return sessions.freeIndex(random.number) },
			},
			InitRate: initRate,
			Room:     sessions.room,
		}),
	}
}

// answer makes a session with an edge: it answers an INIT with RESP, with a
// challenge or, under load, with COOKIE.
func (h *handshakes) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	proves := sourceBytes(from)
	opening, cookie, err := h.responder.Read(now, pkt, handshake.Source{Cookie: proves[:], Rate: initSource(from, out.source)})
	if cookie != nil {
		out.send(cookie, from)
	}
	if err != nil {
		h.refused.init(out.origin(from), err)
		return
	}
	resp, result, err := h.responder.Answer(now, opening, nil)
	if resp != nil {
		out.send(resp, from)
	}
	if err != nil {
		h.refused.init(out.origin(from), err)
		return
	}
	session, err := crypto.NewHopSession(result.SessionConfig(now))
	if err != nil {
		h.refused.init(out.origin(from), err)
		return
	}
	h.sessions.add(&hop{
		session: session, static: result.Remote, hash: result.Keys.Hash,
		addr: from, source: out.source, created: now, heard: now,
	})
}
