package handshake

import (
	"crypto/subtle"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Handle reads a RESP, a COOKIE or a NOTICE, unmasked. Without an error it
// returns one of two: the next INIT, because the responder asked for it, which is
// sent at once and best to where pkt came from, since that is where a cookie is
// valid; or the result, with which the handshake is over. Nothing changes when a
// packet is refused, but that what a valid answer asked for is noted.
func (i *Initiator) Handle(now time.Time, pkt []byte) (again []byte, done *Result, err error) {
	h, err := i.party.readHeader(pkt)
	if err != nil {
		return nil, nil, err
	}
	w := i.answered(h.RX)
	if w == nil {
		return nil, nil, ErrIndex
	}
	switch h.Type {
	case protocol.TypeResp:
		return i.handleResp(now, pkt, h, w)
	case protocol.TypeCookie:
		again, err = i.handleCookie(now, pkt, h, w)
	case protocol.TypeNotice:
		again, err = i.handleNotice(now, pkt, h)
	default:
		err = ErrHeader
	}
	return again, nil, err
}

// handleResp ends the handshake, or obeys a challenge.
func (i *Initiator) handleResp(now time.Time, pkt []byte, h protocol.Header, w *waiting) (again []byte, done *Result, err error) {
	switch {
	case h.KI != w.ki:
		return nil, nil, ErrKeyIndex
	case !w.initiation.CheckMAC1(pkt):
		return nil, nil, ErrMAC1
	}
	plain, keys, err := w.initiation.Finish(pkt)
	if err != nil {
		return nil, nil, ErrOpen
	}
	payload, err := protocol.ParseRespPayload(plain[:])
	switch err {
	case nil:
	case protocol.ErrVersion:
		return nil, nil, ErrVersion
	default:
		return nil, nil, ErrPayload
	}
	if payload.Flags&protocol.RespChallenge != 0 {
		i.asked.challenge = payload.Challenge
		again, err = i.repeat(now, w, ErrChallengeRepeated)
		return again, nil, err
	}
	done = &Result{
		Remote: i.remote, Keys: keys, Initiator: true, Local: w.index, Far: uint32(h.CTR >> 32),
		XF: i.party.dataTransform(payload.Features), KI: w.ki,
		Features: payload.Features, MAC: payload.MAC, MTU: payload.MTU, RTT: now.Sub(w.sent),
	}
	i.Stop()
	return nil, done, nil
}

// handleCookie notes a cookie and obeys it.
func (i *Initiator) handleCookie(now time.Time, pkt []byte, h protocol.Header, w *waiting) ([]byte, error) {
	if h.KI != w.ki {
		return nil, ErrKeyIndex
	}
	cookie, err := w.initiation.OpenCookie(pkt)
	if err != nil {
		return nil, ErrCookie
	}
	i.asked.cookie, i.asked.cookieAt = cookie, now
	return i.repeat(now, w, ErrCookieRepeated)
}

// handleNotice chooses another epoch, if a member who saw our INIT says that it
// does not receive under this one.
func (i *Initiator) handleNotice(now time.Time, pkt []byte, h protocol.Header) ([]byte, error) {
	if i.party.Hop {
		return nil, ErrHeader
	}
	if h.KI != protocol.KINone {
		return nil, ErrKeyIndex
	}
	const body = protocol.NoticeLen - protocol.TagLen
	want := crypto.NoticeMAC(i.party.Epochs.NoticeKey(), pkt[:body], i.waiting.initiation.MAC1())
	if subtle.ConstantTimeCompare(want[:], pkt[body:]) != 1 {
		return nil, ErrNoticeMAC
	}
	n, err := protocol.ParseNotice(pkt)
	switch {
	case err != nil:
		return nil, ErrNotice
	case slices.Contains(n.Indices, i.waiting.ki):
		return nil, ErrNoticeSame
	case i.avoids(i.waiting.ki):
		return nil, ErrNoticeAvoided
	}
	avoid, usable := []uint8{i.waiting.ki}, false
	for _, ki := range i.party.Epochs.Acceptable(now) {
		if slices.Contains(n.Indices, ki) {
			usable = true
		} else if ki != i.waiting.ki {
			avoid = append(avoid, ki)
		}
	}
	i.asked.avoid = avoid
	if !usable {
		return nil, ErrNoticeUnusable
	}
	return i.repeat(now, &i.waiting, ErrNoticeRepeated)
}

// repeat makes the INIT that the answer to w asked for, or returns tooOften when this
// attempt was repeated often enough.
func (i *Initiator) repeat(now time.Time, w *waiting, tooOften Error) ([]byte, error) {
	if i.repeats >= repeatsMax {
		return nil, tooOften
	}
	i.repeats++
	if w == &i.former {
		i.former = i.waiting // which has no answer yet
	}
	return i.send(now)
}
