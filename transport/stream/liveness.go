package stream

import (
	"context"
	"crypto/tls"
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
	// closeTime is how long Close goes on sending the queued packets.
	closeTime = 500 * time.Millisecond
)

// liveness ends a connection that is silent, by the deadline of reading, which
// each sign of life moves. A stranger's does not move before it is admitted.
type liveness struct {
	wire     *tls.Conn
	admitted atomic.Bool
}

// strange sets the time by which the other end has to be admitted.
func (p *liveness) strange() { _ = p.wire.SetReadDeadline(time.Now().Add(admitTime)) }

// admit lets the other end stay for as long as it is heard of.
func (p *liveness) admit() {
	p.admitted.Store(true)
	p.heard()
}

// heard notes a sign of life. A connection that refuses the deadline is at its
// end, which reading tells.
func (p *liveness) heard() {
	if p.admitted.Load() {
		_ = p.wire.SetReadDeadline(time.Now().Add(idleTime))
	}
}

// pinged and ponged are called by the WebSocket for control frames, which are
// signs of life too.
func (p *liveness) pinged(context.Context, []byte) bool { p.heard(); return true }
func (p *liveness) ponged(context.Context, []byte)      { p.heard() }
