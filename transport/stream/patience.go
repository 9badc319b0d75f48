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
	// closeTime is how long Close goes on sending what waits.
	closeTime = 500 * time.Millisecond
)

// patience ends a connection that is silent: by the deadline of reading, which
// each sign of life moves. A stranger's does not move before it is admitted.
type patience struct {
	wire     *tls.Conn
	admitted atomic.Bool
}

// strange gives the other end its time to be admitted.
func (p *patience) strange() { _ = p.wire.SetReadDeadline(time.Now().Add(admitTime)) }

// admit lets the other end stay for as long as it is heard of.
func (p *patience) admit() {
	p.admitted.Store(true)
	p.heard()
}

// heard notes a sign of life. A connection that refuses the deadline is at its
// end, which reading tells.
func (p *patience) heard() {
	if p.admitted.Load() {
		_ = p.wire.SetReadDeadline(time.Now().Add(idleTime))
	}
}

// pinged and ponged are called by the WebSocket for control frames, which are
// signs of life too.
func (p *patience) pinged(context.Context, []byte) bool { p.heard(); return true }
func (p *patience) ponged(context.Context, []byte)      { p.heard() }
