package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// EventKind names what an Event tells.
type EventKind uint8

const (
	// EventResolveFailed: Supernode could not be resolved (Err); Addr is
	// the last good address, if one is being tried.
	EventResolveFailed EventKind = iota + 1
	// EventNoAnswer: Supernode at Addr has not answered; Count INITs were
	// sent over Elapsed.
	EventNoAnswer
	// EventPinned: Supernode's key (Key) was trusted on first use.
	EventPinned
	// EventKeyChanged: Supernode shows another key than the pinned one;
	// the edge refuses to register with it.
	EventKeyChanged
	// EventRegistered: Supernode at Addr accepted us; RTT was measured. Text says
	// by which stream, unless it was by UDP.
	EventRegistered
	// EventLease: the device has Prefix.
	EventLease
	// EventAddressReplaced: Wanted is held by MAC, so Prefix was leased.
	EventAddressReplaced
	// EventAddressRefused: the static address Wanted is held by MAC; Run
	// ends with ErrAddressTaken.
	EventAddressRefused
	// EventMACTaken: another identity holds our MAC address at Supernode.
	EventMACTaken
	// EventRefused: Supernode refused us for the reason in Err.
	EventRefused
	// EventWrongKey: Count edges use our community's name with another key.
	EventWrongKey
	// EventAlone: nobody else is registered in our community.
	EventAlone
	// EventMapping: NAT behaviour was classified (Text).
	EventMapping
	// EventReady: the device is up and the edge is registered; Elapsed
	// since Run began.
	EventReady
	// EventLink: Peer is reachable by another path than before.
	EventLink
	// EventLinkDown: Peer is gone.
	EventLinkDown
	// EventSupernodeLost: Supernode no longer answers.
	EventSupernodeLost
	// EventScheduleEnds: the key schedule ends at Until.
	EventScheduleEnds
	// EventStream: UDP to Supernode seems blocked, so a stream is used (Text).
	EventStream
	// EventStreamFailed: no stream to Supernode could be made either (Err).
	EventStreamFailed
	// EventReloaded: the community was read again; Err if that failed.
	EventReloaded
)

// Event is a change of state that a person may want to see. Fields that do
// not belong to its kind are zero.
type Event struct {
	Kind      EventKind
	Time      time.Time
	Supernode string // as typed
	Addr      netip.AddrPort
	RTT       time.Duration
	Elapsed   time.Duration
	Prefix    netip.Prefix
	Wanted    netip.Prefix
	MAC       protocol.MAC
	Count     int
	Peer      control.Peer
	Key       [32]byte
	KeyIndex  uint8
	Text      string
	Err       error
}
