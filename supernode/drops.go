package supernode

import (
	"errors"
	"sync/atomic"

	"hedgerow/handshake"
)

// dropReason says why a datagram or a message went no further. Each has one
// counter; nothing is logged per datagram.
type dropReason uint8

const (
	dropShort          dropReason = iota // too short for any packet
	dropLong                             // over protocol.MaxDatagram
	dropHeader                           // unknown version, type or flag: most junk ends here
	dropTransform                        // not the transform of a hop
	dropLength                           // not the length of its type
	dropUnexpected                       // a type that no edge sends to a supernode
	dropMAC1                             // an INIT for another key
	dropCookie                           // an INIT under load without a cookie: one was sent
	dropInitRate                         // more INITs than a source may send
	dropGuests                           // the table of sessions without registration is full
	dropStamp                            // an INIT that must answer a challenge: one was sent
	dropUnknownSession                   // an index of no session
	dropExpiredSession                   // a session past its life
	dropOpen                             // did not authenticate, or was seen before
	dropInner                            // authenticated, but malformed inside
	dropControl                          // a control message that does not parse or does not belong
	dropControlRate                      // more messages than an edge may send
	dropUnproved                         // an answer that an unproved address has not paid for
	dropUnregistered                     // an edge without registration asked for a member's service
	dropRelayTag                         // a relayed packet whose hop tag is wrong or was seen before
	dropRelayTarget                      // a handle of nobody here, of another community, or its own
	dropRelayBudget                      // over the budget of the edge or of its community
	dropSessionWorn                      // the counter of a session is used up
	dropHello                            // a HELLO over its rate, or with hello off
	dropSTUN                             // a STUN message that is malformed or over its rate
	dropPushes                           // the queue of notices about restarted edges is full
	dropStored                           // a stored registration that does not parse
	dropSend                             // the socket refused it
	dropReasons                          // how many there are
)

var dropNames = [dropReasons]string{
	"short", "long", "header", "transform", "length", "unexpected",
	"mac1", "cookie", "init-rate", "guests", "stamp",
	"unknown-session", "expired-session", "open", "inner",
	"control", "control-rate", "unproved", "unregistered",
	"relay-tag", "relay-target", "relay-budget", "session-worn",
	"hello", "stun", "pushes", "stored", "send",
}

func (r dropReason) String() string { return dropNames[r] }

// drops counts what was dropped, by reason.
type drops [dropReasons]atomic.Uint64

func (d *drops) drop(r dropReason) { d[r].Add(1) }

// nonzero returns the counters that have counted, by name.
func (d *drops) nonzero() map[string]uint64 {
	m := make(map[string]uint64)
	for r := range d {
		if n := d[r].Load(); n != 0 {
			m[dropReason(r).String()] = n
		}
	}
	return m
}

// initReasons are the failures of a handshake that have a counter here. All
// others are counted by handshake.Reason.
var initReasons = [...]struct {
	err    handshake.Error
	reason dropReason
}{
	{handshake.ErrLength, dropLength},
	{handshake.ErrHeader, dropHeader},
	{handshake.ErrTransform, dropTransform},
	{handshake.ErrKeyIndex, dropTransform},
	{handshake.ErrMAC1, dropMAC1},
	{handshake.ErrCookieDemanded, dropCookie},
	{handshake.ErrSourceRate, dropInitRate},
	{handshake.ErrFull, dropGuests},
	{handshake.ErrStale, dropStamp},
}

// countInit counts why an INIT made no session and returns the counter's name.
func (c *counted) countInit(err error) string {
	for _, known := range initReasons {
		if errors.Is(err, known.err) {
			c.drops.drop(known.reason)
			return known.reason.String()
		}
	}
	c.failures.Count(err)
	return handshake.Reason(err)
}

// reasons returns the counters of everything that went no further, by name.
func (c *counted) reasons() map[string]uint64 { return c.failures.AddTo(c.drops.nonzero()) }
