package supernode

import (
	"bytes"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// acknowledger keeps answers that promise what is not on the disk yet, and sends them when
// it is.
type acknowledger struct {
	store    *store
	sessions *sessions
	sockets  *sockets
	answer   func(x *exchange)
	tables   *sync.Mutex
	now      func() time.Time

	mu   sync.Mutex
	held []heldAnswer
	of   map[*hop]int // where in held the answer to a session is

	sending sync.Mutex // guards out
	out     *outbox
}

// heldAnswer is an answer that waits for a write.
type heldAnswer struct {
	write  uint64 // its number
	hop    *hop
	from   netip.AddrPort
	source netip.Addr
	body   []byte // unsealed
	proves bool
}

// hold keeps the answer of an exchange until what was noted before it is on the disk, and
// reports whether it does. A newer answer to a session takes the place of the one before.
func (a *acknowledger) hold(x *exchange) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	write := a.store.await()
	if write == 0 {
		return false
	}
	h := heldAnswer{write: write, hop: x.hop, from: x.from, source: x.out.source, body: bytes.Clone(x.reply), proves: x.proves}
	if at, ok := a.of[h.hop]; ok {
		a.held[at] = h
		return true
	}
	a.of[h.hop] = len(a.held)
	a.held = append(a.held, h)
	return true
}

// take returns the answers that wait for writes up to a number, and keeps them no longer.
func (a *acknowledger) take(write uint64) (list []heldAnswer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	left := a.held[:0]
	clear(a.of)
	for _, h := range a.held {
		if h.write <= write {
			list = append(list, h)
			continue
		}
		a.of[h.hop] = len(left)
		left = append(left, h)
	}
	clear(a.held[len(left):])
	a.held = left
	return list
}

// send sends the answers that wait for writes up to a number, a few at a time so that
// packets of others do not wait.
func (a *acknowledger) send(write uint64) {
	if !a.sockets.gate.Enter() {
		return
	}
	defer a.sockets.gate.Leave()
	a.sending.Lock()
	defer a.sending.Unlock()
	for few := range slices.Chunk(a.take(write), outboxFull) {
		a.tables.Lock()
		now := a.now()
		for i := range few {
			if h := &few[i]; a.sessions.has(h.hop) {
				a.out.source = h.source
				a.answer(&exchange{now: now, out: a.out, hop: h.hop, from: h.from, reply: append(a.out.buffer(), h.body...), proves: h.proves})
			}
		}
		a.tables.Unlock()
		a.sockets.flush(a.out)
	}
}
