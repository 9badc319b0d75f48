package edge

import (
	"fmt"
	"sync/atomic"
)

// dropReason says why a frame or datagram went no further. Each has one
// counter; nothing is logged per frame.
type dropReason uint8

const (
	dropFrameInvalid   dropReason = iota // not an Ethernet frame
	dropNoPath                           // nowhere to send it: no supernode and no session
	dropSessionWorn                      // the session's counter is used up
	dropTooBig                           // more than the largest run of fragments
	dropSend                             // the socket refused it
	dropStageFull                        // staged frames were over their bound, or waited too long
	dropShort                            // a datagram too short for any packet
	dropHeader                           // unknown version, type or flag
	dropTransform                        // unknown transform
	dropUnknownSession                   // an index of no session
	dropOpen                             // did not authenticate
	dropReplay                           // seen before, or older than the window
	dropGroupTag                         // a GROUP packet of another community
	dropGroupBudget                      // unknown salts over their budget
	dropGroupUnvouched                   // an unvouched sender did not match its statement
	dropInner                            // authenticated, but malformed inside
	dropFragment                         // a fragment of a lost or bad run
	dropOwnSource                        // carries our own hardware address as source
	dropSpoofedSource                    // carries the hardware address of another edge
	dropPinned                           // the hardware address is pinned to another identity
	dropUnbound                          // from a peer whose statement is not known yet
	dropQueueFull                        // the control loop is behind
	dropNotExpected                      // an answer that nobody waits for
	dropHandshake                        // an INIT or RESP that failed a check
	dropRateLimit                        // more than a source may send
	dropControl                          // a control message that does not parse or does not belong
	dropDeviceWrite                      // the device refused it
	dropLong                             // a datagram longer than any packet
	dropReasons                          // how many there are
)

var dropNames = [dropReasons]string{
	"frame-invalid", "no-path", "session-worn", "too-big", "send", "stage-full",
	"short", "header", "transform", "unknown-session", "open", "replay",
	"group-tag", "group-budget", "group-unvouched", "inner", "fragment",
	"own-source", "spoofed-source", "pinned", "unbound", "queue-full",
	"not-expected", "handshake", "rate-limit", "control", "device-write", "long",
}

func (r dropReason) String() string { return dropNames[r] }

// drops counts what was dropped, by reason.
type drops [dropReasons]atomic.Uint64

func (d *drops) drop(r dropReason) { d[r].Add(1) }

// transformDrops counts packets under unknown transforms by their identifier.
type transformDrops [256]atomic.Uint64

// addTo adds the counters that have counted to m, as "transform-0x5f".
func (t *transformDrops) addTo(m map[string]uint64) map[string]uint64 {
	for xf := range t {
		if n := t[xf].Load(); n != 0 {
			m[fmt.Sprintf("%v-0x%02x", dropTransform, xf)] = n
		}
	}
	return m
}

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
