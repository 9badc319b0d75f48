package handshake

import (
	"bytes"
	"fmt"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/protocol"
)

const (
	// DefaultInitRate is how many INITs a second a responder answers without a
	// cookie.
	DefaultInitRate = 200

	noticeRate  = 10 // a second, to all initiators together
	noticeBurst = 20

	// crossing is how long after our own INIT one of the same peer counts as
	// having crossed it.
	crossing = time.Second
)

// ResponderConfig is what a Responder is made from.
type ResponderConfig struct {
	// Party is our end. Required.
	Party *Party
	// InitRate is the number of INITs in a whole second from which on cookies are
	// demanded, in it and the next. 0: DefaultInitRate. Negative: always.
	InitRate int
	// Room reports whether there is room for another session of a source. It is
	// asked before Noise. proved says that the INIT shows a cookie; one that does
	// not and finds no room is asked for it. Nil: always.
	Room func(now time.Time, from Source, proved bool) bool
}

// Responder reads INITs and makes the answers: COOKIE, NOTICE and RESP. None is
// longer than the INIT. Make it with NewResponder.
type Responder struct {
	party   *Party
	guard   *crypto.Guard
	rate    int
	room    func(now time.Time, from Source, proved bool) bool
	load    load
	notices bucket.Bucket
}

// NewResponder returns a responder. It reads 64 bytes from the Party's Rand, and
// panics if that fails.
func NewResponder(cfg ResponderConfig) *Responder {
	r := &Responder{
		party: cfg.Party, guard: crypto.NewGuard(cfg.Party.Identity.Static, cfg.Party.Rand),
		rate: cfg.InitRate, room: cfg.Room,
	}
	if r.rate == 0 {
		r.rate = DefaultInitRate
	}
	return r
}

// Source is where an INIT came from.
type Source struct {
	// Cookie is what a cookie proves: the bytes of address and port, or of the
	// supernode's key and the source handle of a relayed INIT.
	Cookie []byte
	// Rate is the address that INITs are counted by, with the networks around it.
	Rate netip.Addr
	// Known says that the source is one of those that the caller counts itself, in
	// Room, once it has shown a cookie.
	Known bool
	// Crowded says that a cookie is demanded, whatever the rate is.
	Crowded bool
}

// Opening is an INIT that was read: its sender holds the static key and, for a
// pair, the key of the epoch. Whether it is new is not known before Answer.
type Opening struct {
	// Remote is the initiator's static key.
	Remote [32]byte
	// KI is the epoch of the INIT, protocol.KINone for a hop.
	KI uint8
	// MAC, MTU in bytes and Features are what it says of itself.
	MAC      protocol.MAC
	MTU      uint16
	Features uint32

	header  protocol.Header
	payload protocol.InitPayload
	reply   *crypto.Reply
}

// Read checks an INIT, unmasked, and opens it: Screen and Open. With
// ErrCookieDemanded and ErrUnknownEpoch there is an answer, unmasked, to be sent
// back to where the INIT came from; with any other error there is none. Answer
// comes next.
func (r *Responder) Read(now time.Time, init []byte, from Source) (o *Opening, answer []byte, err error) {
	if answer, err = r.Screen(now, nil, init, from); err != nil {
		return nil, answer, err
	}
	return r.Open(now, init)
}

// Screen makes all checks that cost little, cheapest first, and decides whether the
// INIT may be opened. With ErrCookieDemanded there is an answer, as for Read, which is
// appended to dst. It allocates nothing where dst has room.
func (r *Responder) Screen(now time.Time, dst, init []byte, from Source) (answer []byte, err error) {
	h, err := r.party.readHeader(init)
	switch {
	case err != nil:
		return nil, err
	case h.Type != protocol.TypeInit:
		return nil, ErrHeader
	case r.party.Hop != (h.KI == protocol.KINone):
		return nil, ErrKeyIndex
	case !r.guard.CheckMAC1(init):
		return nil, ErrMAC1
	case h.Older():
		return nil, ErrOlder
	}
	return r.admit(now, h, dst, init, from)
}

// Open opens an INIT that has passed Screen. With ErrUnknownEpoch there is an answer,
// as for Read. For hop handshakes a goroutine may do it, and Answer, while another one
// screens.
func (r *Responder) Open(now time.Time, init []byte) (o *Opening, answer []byte, err error) {
	h, err := r.party.readHeader(init)
	if err != nil {
		return nil, nil, err
	}
	var psk [32]byte
	if !r.party.Hop {
		var ok bool
		if psk, ok = r.party.Epochs.PSK(now, h.KI); !ok {
			answer, err = r.notice(now, h, init)
			return nil, answer, err
		}
	}
	o, err = r.unseal(h, init, psk)
	return o, nil, err
}

// admit decides whether a source may have an INIT opened, and makes the COOKIE for
// one that has to prove itself first. What counts for a source that has proved itself
// is nothing that others can use up in its name.
func (r *Responder) admit(now time.Time, h protocol.Header, dst, init []byte, from Source) (cookie []byte, err error) {
	busy := r.load.add(now) > r.rate
	room := func(proved bool) bool { return r.room == nil || r.room(now, from, proved) }
	switch proved := r.guard.CheckMAC2(now, init, from.Cookie); {
	case !proved && (busy || from.Crowded || !r.guard.Allow(now, from.Rate, false) || !room(false)):
		hdr := r.party.header(protocol.TypeCookie, h.KI, h.RX, 0)
		return r.guard.AppendCookie(dst, now, hdr, init, from.Cookie), ErrCookieDemanded
	case proved && !from.Known && !r.guard.Allow(now, from.Rate, true):
		return nil, ErrSourceRate
	case proved && !room(true):
		return nil, ErrFull
	}
	return nil, nil
}

// unseal opens an INIT and checks what it says.
func (r *Responder) unseal(h protocol.Header, init []byte, psk [32]byte) (*Opening, error) {
	reply, err := crypto.ReadInit(r.party.config(psk), init)
	if err != nil {
		return nil, ErrOpen
	}
	payload, err := protocol.ParseInitPayload(reply.Payload[:])
	switch {
	case err == protocol.ErrVersion:
		return nil, ErrVersion
	case err != nil:
		return nil, ErrPayload
	case reply.Remote == r.party.Identity.Static:
		return nil, ErrSelf
	}
	return &Opening{
		Remote: reply.Remote, KI: h.KI, MAC: payload.MAC, MTU: payload.MTU, Features: payload.Features,
		header: h, payload: payload, reply: reply,
	}, nil
}

// notice makes the NOTICE for an INIT under an epoch that is not received.
func (r *Responder) notice(now time.Time, h protocol.Header, init []byte) ([]byte, error) {
	indices := r.party.Epochs.Acceptable(now)
	if len(indices) == 0 {
		return nil, ErrUnknownEpoch
	}
	if !r.notices.Take(now, 1, noticeRate, noticeBurst) {
		return nil, ErrNoticeRate
	}
	n := protocol.Notice{Index: h.RX, Indices: indices}
	b := n.Append(make([]byte, 0, protocol.NoticeLen))
	const mac1 = protocol.InitLen - 2*protocol.TagLen
	mac := crypto.NoticeMAC(r.party.Epochs.NoticeKey(), b, [16]byte(init[mac1:mac1+protocol.TagLen]))
	return append(b, mac[:]...), ErrUnknownEpoch
}

// Answer makes the RESP, unmasked, to be sent back to where the INIT came from. ours
// is our own initiator of handshakes with that peer, nil if there is none. With
// ErrStale the RESP challenges and there is no result; with ErrSimultaneous and
// ErrBuild there is neither. It works once for an Opening.
//
// The session of the result is to be ready for packets before the RESP is sent. It
// is confirmed by its first valid packet.
func (r *Responder) Answer(now time.Time, o *Opening, ours *Initiator) (resp []byte, done *Result, err error) {
	if r.stands(now, o, ours) {
		return nil, nil, ErrSimultaneous
	}
	p := r.party
	answer := protocol.RespPayload{Features: p.Features, Version: protocol.Version, MTU: p.MTU, MAC: p.MAC}
	fresh := r.fresh(now, o)
	if !fresh {
		answer.Flags, answer.Challenge = protocol.RespChallenge, r.guard.Challenge(now, o.Remote)
	}
	var plain [protocol.RespPayloadLen]byte
	answer.Put(&plain)
	index := p.Index()
	resp, keys, err := o.reply.Write(p.header(protocol.TypeResp, o.KI, o.header.RX, uint64(index)<<32), plain)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrBuild, err)
	}
	if !fresh {
		return resp, nil, ErrStale
	}
	return resp, &Result{
		Remote: o.Remote, Keys: keys, Local: index, Far: o.header.RX,
		XF: p.dataTransform(o.Features), KI: o.KI, Features: o.Features, MAC: o.MAC, MTU: o.MTU,
	}, nil
}

// stands reports whether our own INIT to the peer that o came from goes on, and o
// crossed it.
func (r *Responder) stands(now time.Time, o *Opening, ours *Initiator) bool {
	if ours == nil || !ours.active || now.Sub(ours.sent) >= crossing {
		return false
	}
	return bytes.Compare(r.party.Identity.Static[:], o.Remote[:]) < 0
}

// fresh reports whether an INIT is new: by its stamp or by the challenge that it
// echoes. It asks for both each time, because asking is what records them: an
// INIT that is fresh by both must not be fresh again by the other.
func (r *Responder) fresh(now time.Time, o *Opening) bool {
	newer := r.guard.FreshStamp(o.Remote, o.payload.Stamp)
	echoed := o.payload.Challenge != [16]byte{} && r.guard.TakeChallenge(now, o.Remote, o.payload.Challenge)
	return newer || echoed
}
