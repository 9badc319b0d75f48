package dataplane

import (
	"errors"
	"fmt"
	"sync/atomic"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// DropReason says why a frame or datagram went no further. Each has one
// counter; nothing is logged per frame. What the control loop refuses has counters of
// its own (edge/refusals.go, package handshake).
type DropReason uint8

// Why a frame or datagram went no further.
const (
	DropFrameInvalid    DropReason = iota // not an Ethernet frame
	DropNoPath                            // nowhere to send it: no supernode and no session
	DropSessionWorn                       // the session's counter is used up
	DropTooBig                            // more than the largest run of fragments
	DropSend                              // the socket refused it
	DropStageFull                         // staged frames were over their bound, or waited too long
	DropShort                             // a datagram too short for any packet
	DropHeader                            // unknown version, type or flag
	DropTransform                         // unknown transform
	DropUnknownSession                    // an index of no session
	DropOpen                              // did not authenticate
	DropReplay                            // seen before, or older than the window
	DropGroupTag                          // a GROUP packet of another community
	DropGroupBudget                       // unknown salts over their budget
	DropGroupUnvouched                    // an unvouched sender did not match its statement
	DropInner                             // authenticated, but malformed inside
	DropFragment                          // a fragment of a lost or bad run
	DropOwnSource                         // carries our own hardware address as source
	DropSpoofedSource                     // carries the hardware address of another edge
	DropUnbound                           // from a peer whose statement is not known yet
	DropQueueFull                         // the control loop is behind
	DropDeviceWrite                       // the device refused it
	DropLong                              // a datagram longer than any packet
	DropControlRate                       // more control packets than one peer may have the loop hear of
	DropLinkSource                        // carries the source address of a link where there is none, or another one on a link
	DropNoLink                            // came on a link that has no device here
	DropOwnDatagram                       // a datagram of our own that came back out of the device
	DropReserved                          // to a group address that means the other end of a cable
	DropVLAN                              // of a VLAN that is not carried
	DropStorm                             // flooded beyond the limits of storm control, received
	DropStormSent                         // the same, of our own hosts
	DropNotBridge                         // from a host behind a peer that may send its own frames only
	DropNoBridge                          // from a host behind our device, though we are no bridge
	DropForeignClaim                      // names another hardware address than the peer's as its own
	DropAddressTheft                      // claims an IP address that is another member's
	DropDHCPServer                        // the answer of a DHCP server that is not accepted here
	DropRouter                            // of a router that is not accepted here
	DropHidden                            // might be one of these, in fragments or behind too many headers
	DropStationHere                       // has a station as its source that is on our own side
	DropDestinationHere                   // is for us or a station on our own side, and came from there
	DropStandby                           // another bridge forwards on our segment, or we listen yet
	DropProbeForeign                      // a probe on our segment of no member
	DropProbeOwn                          // a probe of our own that came back
	DropProbeOld                          // a probe that was there before
	DropProbeRate                         // more probes than are looked at
	DropProbeInside                       // a probe that came from a peer: they belong to segments
	DropBPDU                              // of a spanning tree, which ends here
	DropIsolated                          // between members that exchange frames with hubs alone
	DropNoMember                          // to a group that nobody behind another edge has joined
	DropReport                            // an old host's report of its membership, which ours are not to hear
	DropMarked                            // of a flow without ECN, in a packet that was marked for congestion
	DropUnlisted                          // of or to somebody who is not in the list of members, or has not proved to be
	DropReasons                           // how many there are
)

var dropNames = [DropReasons]string{
	"frame-invalid", "no-path", "session-worn", "too-big", "send", "stage-full",
	"short", "header", "transform", "unknown-session", "open", "replay",
	"group-tag", "group-budget", "group-unvouched", "inner", "fragment",
	"own-source", "spoofed-source", "unbound", "queue-full", "device-write", "long", "control-rate", "link-source", "no-link",
	"own-datagram", "reserved-group", "vlan",
	"storm", "storm-sent", "not-a-bridge", "no-bridge", "foreign-claim", "address-theft", "dhcp-server", "router", "hidden",
	"station-here", "destination-here",
	"standby", "probe-foreign", "probe-own", "probe-old", "probe-rate", "probe-inside", "bpdu", "isolated",
	"no-member", "report-held", "marked", "unlisted",
}

// String returns the name of the reason's counter in status and metrics.
func (r DropReason) String() string { return dropNames[r] }

// Drops counts what was dropped, by reason. It may be used from any goroutine.
type Drops struct {
	reasons    [DropReasons]atomic.Uint64
	transforms [256]atomic.Uint64 // packets under transforms that we do not have, by identifier
}

// Drop counts one thing that was dropped.
func (d *Drops) Drop(r DropReason) { d.reasons[r].Add(1) }

// DropOpen counts a packet that a session or the GROUP receiver refused with err.
func (d *Drops) DropOpen(err error) {
	if errors.Is(err, crypto.ErrReplay) {
		d.Drop(DropReplay)
		return
	}
	d.Drop(DropOpen)
}

// dropTransform counts a packet under a transform that we do not have, also by
// its identifier: it tells an operator which extension the others run.
func (d *Drops) dropTransform(xf protocol.Transform) {
	d.Drop(DropTransform)
	d.transforms[xf].Add(1)
}

// Count returns how often something was dropped for a reason.
func (d *Drops) Count(r DropReason) uint64 { return d.reasons[r].Load() }

// Counts returns the counters that have counted, by name, and those of unknown
// transforms as "transform-0x5f".
func (d *Drops) Counts() map[string]uint64 {
	m := d.nonzero()
	for xf := range d.transforms {
		if n := d.transforms[xf].Load(); n != 0 {
			m[fmt.Sprintf("%v-0x%02x", DropTransform, xf)] = n
		}
	}
	return m
}

// nonzero returns the counters that have counted, by name.
func (d *Drops) nonzero() map[string]uint64 {
	m := make(map[string]uint64)
	for r := range d.reasons {
		if n := d.reasons[r].Load(); n != 0 {
			m[DropReason(r).String()] = n
		}
	}
	return m
}
