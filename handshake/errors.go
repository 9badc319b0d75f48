package handshake

import (
	"errors"
	"sync/atomic"
)

// Error is a way in which a handshake can fail. Each is a constant, to be
// compared with errors.Is. None holds bytes of a packet.
type Error uint8

// What is wrong with a packet before any key is used. Both ends return these.
const (
	// ErrLength says that a packet has not the one length of its type
	// (PROTOCOL.md, section 4).
	ErrLength Error = iota + 1
	// ErrHeader says that a flag is set or that the packet type is none that
	// this end reads.
	ErrHeader
	// ErrVersion says that the other end speaks another version of the protocol:
	// in the header, or by what it says inside.
	ErrVersion
	// ErrOlder says that the other end speaks the protocol as it was before version
	// 1 was final. It says so in the clear part of an INIT, whose mac1 was right.
	ErrOlder
	// ErrTransform says that the header names the transform of the other kind of
	// handshake: of a pair where a hop is meant, or the reverse.
	ErrTransform
	// ErrKeyIndex says that the key index is none where an epoch is needed, an
	// epoch where none is, or not that of the INIT that is answered.
	ErrKeyIndex
	// ErrMAC1 says that mac1 is wrong: an INIT was made for another static key, a
	// RESP by a sender that does not know whom we asked.
	ErrMAC1
	// ErrOpen says that Noise did not open the packet: another key, another
	// epoch key under the same index, changed bytes, or a point of low order.
	ErrOpen
	// ErrPayload says that the packet opened and its payload is malformed.
	ErrPayload
	// ErrSelf says that the other end has our own static key: somebody sent our
	// INIT back to us, or the same identity runs twice.
	ErrSelf
)

// Why a Responder refuses an INIT.
const (
	// ErrCookieDemanded says that the responder is under load and the INIT has no
	// valid mac2: its cookie is missing, wrong or too old. The answer is a COOKIE.
	ErrCookieDemanded Error = iota + 32
	// ErrSourceRate says that the source sent more INITs than it may
	// (crypto.Guard.Allow).
	ErrSourceRate
	// ErrFull says that there is no room for another session.
	ErrFull
	// ErrUnknownEpoch says that the INIT is under a key index that is not received
	// now. The answer is a NOTICE.
	ErrUnknownEpoch
	// ErrNoticeRate is ErrUnknownEpoch when too many NOTICEs were sent just now:
	// there is no answer.
	ErrNoticeRate
	// ErrSimultaneous says that our own INIT to the same peer stands, since our
	// static key is the lower one.
	ErrSimultaneous
	// ErrStale says that the stamp is not greater than the last one of that key
	// and that no valid challenge is echoed: an old INIT, a clock that was set
	// back, or a key that was forgotten. The answer is a RESP with a challenge.
	ErrStale
)

// Why an Initiator refuses an answer, or has no INIT to send.
const (
	// ErrIndex says that no INIT of ours waits under the index that is answered:
	// it was answered already, or followed by another one.
	ErrIndex Error = iota + 64
	// ErrCookie says that a COOKIE does not open: it is not the responder's, or
	// not for this INIT.
	ErrCookie
	// ErrCookieRepeated says that a COOKIE is noted for the next timed attempt,
	// since this attempt was repeated often enough.
	ErrCookieRepeated
	// ErrChallengeRepeated is ErrCookieRepeated for a challenge.
	ErrChallengeRepeated
	// ErrNoticeRepeated is ErrCookieRepeated for a NOTICE.
	ErrNoticeRepeated
	// ErrNoticeMAC says that the mac of a NOTICE is wrong: it is by no member, or
	// for another INIT.
	ErrNoticeMAC
	// ErrNotice says that a NOTICE with a right mac is malformed.
	ErrNotice
	// ErrNoticeSame says that a NOTICE names the very epoch that it refuses.
	ErrNoticeSame
	// ErrNoticeAvoided says that a NOTICE came for an INIT under an epoch that one
	// had refused already, and that was used because there is no other.
	ErrNoticeAvoided
	// ErrNoticeUnusable says that a NOTICE names no epoch that we hold as valid:
	// the two ends have no key in common.
	ErrNoticeUnusable
	// ErrNoEpoch says that no epoch may be used now, so there is no INIT.
	ErrNoEpoch
	// ErrGivenUp says that a pair handshake ended without an answer, GiveUpAfter
	// after its start.
	ErrGivenUp
	// ErrBuild says that a packet could not be made: the remote key is no usable
	// point, or the source of randomness failed. The cause is wrapped.
	ErrBuild
)

// errorLimit is above every Error.
const errorLimit = 96

// failure is what is said of an Error: the name of its counter without the
// prefix, and a sentence.
type failure struct{ reason, text string }

var failures = [errorLimit]failure{
	ErrLength:    {"length", "a packet has not the length of its type"},
	ErrHeader:    {"header", "a header does not fit"},
	ErrVersion:   {"version", "the other end speaks another version"},
	ErrOlder:     {"older", "the other end speaks the protocol as it was before version 1 was final"},
	ErrTransform: {"transform", "a packet is of the other kind of handshake"},
	ErrKeyIndex:  {"key-index", "a key index does not fit"},
	ErrMAC1:      {"mac1", "mac1 is wrong"},
	ErrOpen:      {"open", "a packet does not open"},
	ErrPayload:   {"payload", "a payload is malformed"},
	ErrSelf:      {"self", "the other end has our own key"},

	ErrCookieDemanded: {"cookie-demanded", "under load, and the INIT has no cookie"},
	ErrSourceRate:     {"source-rate", "more INITs than a source may send"},
	ErrFull:           {"full", "there is no room for another session"},
	ErrUnknownEpoch:   {"unknown-epoch", "an INIT is under a key index that is not received"},
	ErrNoticeRate:     {"notice-rate", "an INIT is under a key index that is not received, and too many were told"},
	ErrSimultaneous:   {"simultaneous", "our own INIT stands"},
	ErrStale:          {"stale", "an INIT is not fresh"},

	ErrIndex:             {"index", "no INIT waits for this answer"},
	ErrCookie:            {"cookie", "a COOKIE does not open"},
	ErrCookieRepeated:    {"cookie-repeated", "a COOKIE came too often"},
	ErrChallengeRepeated: {"challenge-repeated", "a challenge came too often"},
	ErrNoticeRepeated:    {"notice-repeated", "a NOTICE came too often"},
	ErrNoticeMAC:         {"notice-mac", "the mac of a NOTICE is wrong"},
	ErrNotice:            {"notice", "a NOTICE is malformed"},
	ErrNoticeSame:        {"notice-same", "a NOTICE names the epoch that it refuses"},
	ErrNoticeAvoided:     {"notice-avoided", "every epoch was refused already"},
	ErrNoticeUnusable:    {"notice-unusable", "a NOTICE names no epoch that is valid here"},
	ErrNoEpoch:           {"no-epoch", "no epoch may be used now"},
	ErrGivenUp:           {"given-up", "there was no answer"},
	ErrBuild:             {"build", "a packet cannot be made"},
}

// known reports whether e is one of the constants.
func (e Error) known() bool { return e < errorLimit && failures[e].reason != "" }

// Error returns a sentence for a log.
func (e Error) Error() string {
	if !e.known() {
		return "handshake: unknown failure"
	}
	return "handshake: " + failures[e].text
}

// Reason returns the name that e is counted under, as "handshake-mac1".
func (e Error) Reason() string {
	if !e.known() {
		return "handshake"
	}
	return "handshake-" + failures[e].reason
}

// Reason returns the name that err is counted under: that of the Error in its
// chain, "handshake" for any other error, and "" for nil.
func Reason(err error) string {
	if err == nil {
		return ""
	}
	return errorIn(err).Reason()
}

// errorIn returns the Error in the chain of err, and 0 if there is none.
func errorIn(err error) Error {
	e, ok := err.(Error)
	if !ok { // most are not wrapped, and errors.As allocates
		var wrapped Error
		errors.As(err, &wrapped)
		e = wrapped
	}
	if !e.known() {
		return 0
	}
	return e
}

// Counts counts failures by their Error. Its zero value is ready, and it is safe
// for concurrent use.
type Counts [errorLimit]atomic.Uint64

// Count counts err. Nil counts nothing.
func (c *Counts) Count(err error) {
	if err == nil {
		return
	}
	c[errorIn(err)].Add(1)
}

// Of returns how often e was counted.
func (c *Counts) Of(e Error) uint64 {
	if !e.known() {
		return c[0].Load()
	}
	return c[e].Load()
}

// AddTo adds the counters that have counted to m, by Reason, and returns m.
func (c *Counts) AddTo(m map[string]uint64) map[string]uint64 {
	for e := range c {
		if n := c[e].Load(); n != 0 {
			m[Error(e).Reason()] = n
		}
	}
	return m
}

// Restore sets the counters of a new Counts that AddTo of another one has added to m. Those of
// reasons that it has not are left out.
func (c *Counts) Restore(m map[string]uint64) {
	for e := range c {
		if n, ok := m[Error(e).Reason()]; ok {
			c[e].Store(n)
		}
	}
}
