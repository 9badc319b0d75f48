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

	from      netip.AddrPort // of the INIT that is being handled
	strangers workBudget     // of all strangers together
	members   workBudget     // of all registered edges: anybody can be one
}

// newHandshakes returns the owner of the handshakes between edges and us: no
// community, and no access key. What the responder counts and refuses is in package
// handshake.
func newHandshakes(identity *crypto.Identity, initRate int, sessions *sessions, random random, refused *refusals) *handshakes {
	h := &handshakes{
		sessions: sessions, refused: refused, strangers: newWorkBudget(), members: newWorkBudget(),
	}
	h.responder = handshake.NewResponder(handshake.ResponderConfig{
		Party: &handshake.Party{
			Hop: true, Identity: identity, Rand: random.source,
			Index: func() uint32 { return sessions.freeIndex(random.number) },
		},
		InitRate: initRate,
		Room:     h.room,
	})
	return h
}

// room reports whether we have time for the handshake of a source. Registered edges have
// their own, once they have shown a cookie, and each a lane in it; strangers share what
// there is.
func (h *handshakes) room(now time.Time, from handshake.Source, proved bool) bool {
	if proved && from.Known {
		return h.sessions.lanes.take(now, h.from) && h.members.spend(now, from.Rate, handshakeCost, true)
	}
	return h.strangers.spend(now, from.Rate, handshakeCost, proved)
}

// answer makes a session with an edge: it answers an INIT with RESP, with a
// challenge or, under load, with COOKIE.
func (h *handshakes) answer(now time.Time, out *outbox, pkt []byte, from netip.AddrPort) {
	proves, counted := sourceBytes(from), initSource(from, out.source)
	h.from = from
	opening, cookie, err := h.responder.Read(now, pkt, handshake.Source{
		Cookie: proves[:], Rate: counted, Known: h.sessions.lanes.known(from), Crowded: h.sessions.guests.crowded(),
	})
	if cookie != nil {
		out.answer(cookie, from)
	}
	if err != nil {
		h.refused.init(out.origin(from), err)
		return
	}
	resp, result, err := h.responder.Answer(now, opening, nil)
	if resp != nil {
		out.answer(resp, from)
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
		session: session, shaken: shaken{static: result.Remote, hash: result.Keys.Hash},
		addr: from, source: out.source, hopTimes: hopTimes{created: now, heard: now},
	}, counted)
}
