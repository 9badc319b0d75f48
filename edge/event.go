package edge

import "hedgerow/edge/control"

// Event is one change of state that Host.Report is told of. Its kinds are those of
// package control, whose documents it belongs to: what shows events needs to know
// nothing of edges.
type Event = control.Event

// EventKind names what an Event reports.
type EventKind = control.EventKind

// The kinds of events, as package control explains them.
const (
	EventResolveFailed   = control.EventResolveFailed
	EventNoAnswer        = control.EventNoAnswer
	EventPinned          = control.EventPinned
	EventKeyChanged      = control.EventKeyChanged
	EventRegistered      = control.EventRegistered
	EventLease           = control.EventLease
	EventAddressReplaced = control.EventAddressReplaced
	EventAddressRefused  = control.EventAddressRefused
	EventMACTaken        = control.EventMACTaken
	EventRefused         = control.EventRefused
	EventWrongKey        = control.EventWrongKey
	EventAlone           = control.EventAlone
	EventMapping         = control.EventMapping
	EventReady           = control.EventReady
	EventLink            = control.EventPeerPath
	EventLinkDown        = control.EventPeerGone
	EventSupernodeLost   = control.EventSupernodeLost
	EventScheduleEnds    = control.EventScheduleEnds
	EventStream          = control.EventStream
	EventStreamFailed    = control.EventStreamFailed
	EventReloaded        = control.EventReloaded
	EventLeaseRefused    = control.EventLeaseRefused
	EventIdentityTwice   = control.EventIdentityTwice
	EventOlder           = control.EventOlder
)
