package supernode

import (
	"net/netip"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/handshake"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// handshakes decide which INITs of edges are opened, by package handshake.
type handshakes struct {
	config   handshake.ResponderConfig // of the responder of each key; its Party has no identity
	sessions *sessions
	refused  *refusals
	answerer *answerer
	obfs     []byte // the obfuscation key; nil: there is none
	repeats  *repeats

	from      netip.AddrPort // of the INIT that is being handled
	source    [18]byte       // what its cookie is bound to
	proved    bool           // it has shown a cookie
	member    bool           // and its address is a registered edge's
	strangers workBudget     // of all strangers together
	members   workBudget     // of all registered edges: anybody can be one
}

// newHandshakes returns the owner of the handshakes between edges and us: no
// community, and no access key. What the responders count and refuse is in package
// handshake. tables is the mutex of the tables.
func newHandshakes(cfg *Config, sessions *sessions, random random, tables *sync.Mutex, refused *refusals) *handshakes {
	h := &handshakes{
		sessions: sessions, refused: refused, obfs: cfg.Cover.ObfsKey, repeats: newRepeats(cfg.Cover.ObfsKey), strangers: newWorkBudget(), members: newWorkBudget(),
	}
	h.config = handshake.ResponderConfig{
		Party: &handshake.Party{
			Hop: true, Rand: random.source, Features: features(cfg),
			Index: func() uint32 {
				tables.Lock()
				defer tables.Unlock()
				return sessions.freeIndex(random.number)
			},
		},
		InitRate: cfg.Limits.InitRate,
		Room:     h.room,
	}
	h.answerer = newAnswerer(sessions, tables, refused)
	return h
}

// newKeys returns the keys of an identity and of the former one, if that answers.
func (h *handshakes) newKeys(own *crypto.Identity, rotated *rotationFile) serverKeys {
	if !rotated.under() {
		return serverKeys{own: h.newKey(own)}
	}
	keys := serverKeys{own: h.newKey(crypto.NewIdentity(rotated.seed))}
	keys.rotate(h.newKey(own), rotated.serial)
	return keys
}

// newKey returns the key of an identity, with a responder of its own.
func (h *handshakes) newKey(identity *crypto.Identity) *serverKey {
	cfg, party := h.config, *h.config.Party
	party.Identity, cfg.Party = identity, &party
	return &serverKey{
		identity: identity, mask: crypto.NewMask(crypto.SupernodeMaskKey(identity.Static, h.obfs)), responder: handshake.NewResponder(cfg),
	}
}

// features are the protocol.Feature bits that a supernode announces.
func features(cfg *Config) (bits uint32) {
	if transport.TellsTOS(cfg.Conn) {
		bits |= protocol.FeatureECN
	}
	return bits
}

// room reports whether we have time for the handshake of a source. Registered edges have
// their own, once they have shown a cookie, and each a lane in it; strangers share what
// there is. What waits already has been given its time, and asks for no more by asking again.
func (h *handshakes) room(now time.Time, from handshake.Source, proved bool) bool {
	h.proved, h.member = proved, proved && from.Known
	switch {
	case proved && h.answerer.holds(h.member, h.from):
		return true
	case h.answerer.count(h.member) >= admittedMost:
		return false
	case h.member:
		return h.sessions.lanes.take(now, h.from) && h.members.spend(now, from.Rate, handshakeCost, true)
	}
	return h.strangers.spend(now, from.Rate, handshakeCost, proved)
}

// screen decides whether an INIT is opened, and hands it to the answerer. Under load it
// answers it with COOKIE. An answer has most bytes at most, or 0: it is not made longer.
func (h *handshakes) screen(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, most int) {
	if h.repeats.known(out.end) {
		h.refused.about(dropRepeated, false, out.origin(from), nil)
		return
	}
	counted := h.sessions.registry.front.initSource(from, out.source)
	h.from, h.source = from, sourceBytes(from)
	cookie, err := out.came.us.key.responder.Screen(now, out.buffer(), pkt, handshake.Source{
		Cookie: h.source[:], Rate: counted, Known: h.sessions.lanes.known(from), Crowded: h.sessions.guests.crowded() || h.answerer.crowded(),
	})
	if len(cookie) > 0 || err == nil {
		h.repeats.note(out.end)
	}
	if len(cookie) > 0 {
		out.answer(crypto.Lengthen(cookie, most), from)
	} else {
		out.own.used-- // the buffer is free again
	}
	if err == nil {
		in := admitted{init: [protocol.InitLen]byte(pkt), ends: out.back(from), source: out.source, counted: counted, most: most}
		var place netip.AddrPort // without a cookie it may be another's address: it takes the place of nobody
		if h.proved {
			place = from
		}
		if !h.answerer.put(now, h.member, place, in) {
			err = handshake.ErrFull
		}
	}
	if err != nil {
		h.refused.init(out.origin(from), err)
	}
}
