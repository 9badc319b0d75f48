package dataplane

import (
	"errors"
	"io/fs"
	"sync/atomic"
	"syscall"

	"hedgerow/transport"
)

// Bounds of what waits for the control loop.
const (
	mailboxKnown     = 1024
	mailboxHop       = mailboxKnown / 2 // the first of them, for packets of supernodes
	mailboxUnvouched = mailboxKnown / 4 // and for GROUP packets whose salt nobody vouched for
	mailboxStrangers = 256
)

// mailbox is how the data goroutines reach the control loop. Both channels
// are bounded; what does not fit is dropped and counted, as UDP would. What
// strangers can send has a channel of its own, so that they cannot crowd out
// what authenticated peers say. A packet of a supernode is still sealed, and anybody
// can send one from its address: such packets get no more than half of the room, and
// the rest is left to what has authenticated. A GROUP packet whose salt nobody vouched
// for is some member's, who may send as many as his link carries: those get a quarter.
type mailbox struct {
	known     chan Event
	strangers chan Event
	drops     *Drops
	learned   atomic.Int32 // the key index last reported, so each is told once
}

func newMailbox(d *Drops) *mailbox {
	m := &mailbox{known: make(chan Event, mailboxKnown), strangers: make(chan Event, mailboxStrangers), drops: d}
	m.learned.Store(-1)
	return m
}

// post gives the control loop an event without blocking. It reports whether there was room.
func (m *mailbox) post(ev Event) bool {
	c, room := m.known, mailboxKnown
	switch ev.(type) {
	case InitReceived, HandshakeAnswer, STUNReceived:
		c = m.strangers
	case HopPacket:
		room = mailboxHop
	case Unvouched:
		room = mailboxUnvouched
	}
	if len(c) >= room {
		m.drops.Drop(DropQueueFull)
		return false
	}
	select {
	case c <- ev:
		return true
	default:
		m.drops.Drop(DropQueueFull)
		return false
	}
}

// noteSendError reports the addresses that the socket refused. A TTL that the system
// cannot set says nothing about the path.
func (m *mailbox) noteSendError(err error, batch []transport.Datagram) {
	var w *transport.WriteError
	if !errors.As(err, &w) {
		return
	}
	for i, why := range w.All() {
		if i < len(batch) && !errors.Is(why, errors.ErrUnsupported) {
			m.post(SendRefused{
				Addr: batch[i].Addr, TooBig: errors.Is(why, syscall.EMSGSIZE), Forbidden: errors.Is(why, fs.ErrPermission),
			})
		}
	}
}

// noteEpoch reports once that packets arrive under another epoch.
func (m *mailbox) noteEpoch(ki uint8) {
	if m.learned.Swap(int32(ki)) != int32(ki) && !m.post(EpochLearned{ki}) {
		m.learned.CompareAndSwap(int32(ki), -1) // the next packet tells it
	}
}
