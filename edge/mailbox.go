package edge

import (
	"errors"
	"net/netip"
	"sync/atomic"
	"syscall"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// eventKind says what a data goroutine tells the control loop.
type eventKind uint8

const (
	eventPair      eventKind = iota // an opened control body from a peer
	eventConfirmed                  // the first packet of a session was opened
	eventRoamed                     // an opened packet came from an address that is not the peer's path
	eventNeed                       // frames go to or come from a peer
	eventWantMAC                    // a frame for an address that nobody is known to have
	eventStage                      // a frame that cannot be sent yet
	eventUnvouched                  // an opened GROUP frame whose sender nobody vouched for yet
	eventHop                        // a hop control packet, still sealed
	eventAnswer                     // RESP, COOKIE, RESET, NOTICE or WELCOME, unmasked
	eventInit                       // INIT, unmasked
	eventSTUN                       // a STUN message
	eventLearn                      // something was opened under another epoch than the one we send under
	eventSendError                  // the socket refused a datagram
	eventForward                    // a packet for a way through another edge
)

// event is one thing that happened on the data path. raw is a copy, owned by
// whoever receives the event.
type event struct {
	kind    eventKind
	raw     []byte
	from    netip.AddrPort // invalid when it came by a relay
	link    *linkView      // the supernode it came through, or nil
	handle  uint32         // the relayed packet's source handle
	peer    *peerView
	session *crypto.Session
	mac     protocol.MAC
	ki      uint8
	tooBig  bool // eventSendError: the first link does not take datagrams of that size
	joined  bool // eventPair: it came in pieces
	groupPart
}

// groupPart is what an eventUnvouched says besides.
type groupPart struct {
	stale bool   // the salt fails the time rule
	ctr   uint64 // the packet's counter
	run   uint64 // names the salt, for fragments
	xf    uint8  // with the event's ki and salt, what has to be vouched for
	salt  [protocol.SaltLen]byte
}

// mailbox is how the data goroutines reach the control loop. Both channels
// are bounded; what does not fit is dropped and counted, as UDP would. What
// strangers can send has a channel of its own, so that they cannot crowd out
// what authenticated peers say.
type mailbox struct {
	known     chan event
	strangers chan event
	drops     *drops
	learned   atomic.Int32 // the key index last reported, so each is told once
}

func newMailbox(d *drops) *mailbox {
	m := &mailbox{known: make(chan event, 1024), strangers: make(chan event, 256), drops: d}
	m.learned.Store(-1)
	return m
}

// post hands over an event without blocking. It reports whether there was room.
func (m *mailbox) post(ev event) bool {
	c := m.known
	switch ev.kind {
	case eventInit, eventAnswer, eventSTUN:
		c = m.strangers
	}
	select {
	case c <- ev:
		return true
	default:
		m.drops.drop(dropQueueFull)
		return false
	}
}

// noteSendError reports the addresses that the socket refused.
func (m *mailbox) noteSendError(err error, batch []transport.Datagram) {
	var w *transport.WriteError
	if !errors.As(err, &w) {
		return
	}
	m.noteRefused(*w, batch)
	for _, other := range w.Others {
		m.noteRefused(other, batch)
	}
}

// noteRefused reports one refusal. A TTL that the system cannot set says
// nothing about the path.
func (m *mailbox) noteRefused(w transport.WriteError, batch []transport.Datagram) {
	if w.Index < len(batch) && !errors.Is(w.Err, errors.ErrUnsupported) {
		m.post(event{kind: eventSendError, from: batch[w.Index].Addr, tooBig: errors.Is(w.Err, syscall.EMSGSIZE)})
	}
}

// noteEpoch reports once that packets arrive under another epoch.
func (m *mailbox) noteEpoch(ki uint8) {
	if m.learned.Swap(int32(ki)) != int32(ki) && !m.post(event{kind: eventLearn, ki: ki}) {
		m.learned.CompareAndSwap(int32(ki), -1) // the next packet tells it
	}
}

// needEvery is how often the control loop hears that a peer is in use.
const needEvery = int64(2e9)

// touch notes that a unicast frame goes to or came from the peer, and tells
// the control loop now and then.
func (p *peerView) touch(now int64, m *mailbox) {
	p.count.used.Store(now)
	if asked := p.count.asked.Load(); asked != 0 && now-asked < needEvery {
		return
	}
	p.count.asked.Store(now)
	m.post(event{kind: eventNeed, peer: p})
}
