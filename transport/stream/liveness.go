package stream

import (
	"context"
	"crypto/tls"
	"sync"
	"sync/atomic"
	"time"
)

// Times of a stream.
const (
	// pingTime is how long the dialling end sends nothing before it sends a ping:
	// middleboxes forget a connection after 60 s and more of silence.
	pingTime = 15 * time.Second
	// idleTime is how long nothing may come from the other end.
	idleTime = 90 * time.Second
	// admitTime is how long a stranger has to prove to be an edge.
	admitTime = 5 * time.Second
	// strangerRate and strangerBurst bound the packets that are taken from a stream
	// before a registered edge is there: all streams share one queue to the
	// supernode, and an edge needs few to register.
	strangerRate  = 20 // a second
	strangerBurst = 40
	// closeTime is how long Close goes on sending the queued packets.
	closeTime = 500 * time.Millisecond
)

// liveness ends a connection that is silent, by the deadline of reading, which
// each sign of life moves, but not past the time that the other end was given. A
// dialling end gives the other one all the time that there is.
type liveness struct {
	wire     *tls.Conn
	admitted atomic.Bool

	mu     sync.Mutex // guards what follows, and the deadline
	opened time.Time
	kept   bool      // a registered edge was there
	until  time.Time // zero: for ever
}

// strange sets the time by which the other end has to be admitted.
func (p *liveness) strange() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.opened = time.Now()
	p.until = p.opened.Add(admitTime)
	_ = p.wire.SetReadDeadline(p.until)
}

// admit lets the other end stay for as long as it is heard of.
func (p *liveness) admit() {
	p.admitted.Store(true)
	p.heard()
}

// stay lets the other end stay until a time, unless it may already stay for longer.
// kept says that it is a registered edge; first reports whether it was none before.
func (p *liveness) stay(until func(opened time.Time) time.Time, kept bool) (first bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.admitted.Store(true)
	if t := until(p.opened); t.After(p.until) {
		p.until = t
	}
	first, p.kept = kept && !p.kept, p.kept || kept
	p.extend()
	return first
}

// isStrange reports whether the time that the other end was given is over.
func (p *liveness) isStrange() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.until.IsZero() && !time.Now().Before(p.until)
}

// isKept reports whether a registered edge was there.
func (p *liveness) isKept() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.kept
}

// heard notes a sign of life.
func (p *liveness) heard() {
	if p.admitted.Load() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.extend()
	}
}

// extend moves the deadline. A connection that refuses it is at its end, which reading
// tells. The caller holds p.mu.
func (p *liveness) extend() {
	deadline := time.Now().Add(idleTime)
	if !p.until.IsZero() && p.until.Before(deadline) {
		deadline = p.until
	}
	_ = p.wire.SetReadDeadline(deadline)
}

// pinged and ponged are called by the WebSocket for control frames, which are
// signs of life too.
func (p *liveness) pinged(context.Context, []byte) bool { p.heard(); return true }
func (p *liveness) ponged(context.Context, []byte)      { p.heard() }
