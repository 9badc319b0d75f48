package edge

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// Bounds of the pings that a person asks for.
const (
	echoWait    = 5 * time.Second // for an answer, and for a session to ask in
	maxEchoes   = 64              // at once
	defaultEcho = 64              // bytes of the frame that a ping is as long as
	// echoOverhead is what a PING has in its packet beside the padding, less what
	// a whole frame has there: one byte of its kind.
	echoOverhead = 3 + 8 + 4 + 1
	leastEcho    = echoOverhead + pongPad
	mostEcho     = MaxMTU + 14 + 4 // the longest frame there is, with a tag
)

// echoes are the pings that somebody waits for. Those of the paths have lists of
// their own, which know nothing of these.
type echoes struct {
	list []*echo
}

// echo is one of them.
type echo struct {
	peer   *peer
	nonce  [8]byte
	size   int       // bytes of the frame that it is as long as
	pieces int       // packets that it became
	sent   time.Time // zero: it waits until the peer can be reached
	until  time.Time
	answer chan<- echoed // has room for one
}

// echoed is what became of one.
type echoed struct {
	ping control.Ping
	err  error
}

// deadline returns when the next one has waited for long enough.
func (l *echoes) deadline() (d time.Time) {
	for _, x := range l.list {
		d = earliest(d, x.until)
	}
	return d
}

// Ping sends one ping to a peer inside the pair session, by the route that frames
// take at that moment, and waits up to five seconds for its answer; without one
// Answered is false. It needs no addresses, passes the firewalls of both hosts,
// and counts as a use of the path, as a frame does. What is longer than the path
// takes whole goes in pieces there and back, as a frame does. The error is a
// sentence: nobody or more than one is called so, or no frame is of that size.
func (e *Edge) Ping(ctx context.Context, q control.PingRequest) (control.Ping, error) {
	answer := make(chan echoed, 1)
	failed, err := ask(ctx, e, func(now time.Time) error { return e.beginEcho(now, q, answer) })
	if err = errors.Join(err, failed); err != nil {
		return control.Ping{}, err
	}
	select {
	case got := <-answer:
		return got.ping, got.err
	case <-e.done:
		return control.Ping{}, errEnded
	case <-ctx.Done():
		return control.Ping{}, ctx.Err()
	}
}

// beginEcho sends a ping, or lets it wait until there is a session.
func (e *Edge) beginEcho(now time.Time, q control.PingRequest, answer chan<- echoed) error {
	p, err := e.named(q.Peer)
	if err != nil {
		return err
	}
	if q.Size == 0 {
		q.Size = defaultEcho
	}
	if q.Size < leastEcho {
		return fmt.Errorf("a ping is as long as a frame of %d bytes at least, not of %d", leastEcho, q.Size)
	}
	if q.Size > mostEcho {
		return fmt.Errorf("a ping is as long as a frame of %d bytes at most, not of %d", mostEcho, q.Size)
	}
	if len(e.echoes.list) >= maxEchoes {
		return fmt.Errorf("%d pings are under way: wait for them", maxEchoes)
	}
	x := &echo{peer: p, size: q.Size, until: now.Add(echoWait), answer: answer}
	e.fill(x.nonce[:])
	e.echoes.list = append(e.echoes.list, x)
	p.view.SetUsed(e.plane.Since(now))
	e.need(now, p)
	e.tickEchoes(now)
	return nil
}

// tickEchoes sends the pings whose peer can be reached by now, and answers those
// that have waited for long enough.
func (e *Edge) tickEchoes(now time.Time) {
	e.echoes.list = slices.DeleteFunc(e.echoes.list, func(x *echo) bool {
		if x.sent.IsZero() {
			if r := x.peer.view.Route(); e.carries(&r) {
				x.sent = now
				m := protocol.Ping{Nonce: x.nonce, Pad: x.size - echoOverhead}
				x.pieces = e.sendLong(x.peer, r, r.MaxInner(), m.Append)
			}
		}
		if now.Before(x.until) {
			return false
		}
		x.answer <- echoed{ping: e.unanswered(now, x)}
		return true
	})
}

// carries reports whether frames would leave by a route inside a session.
func (e *Edge) carries(r *dataplane.Route) bool {
	if r.Session == nil {
		return false
	}
	return r.Direct.IsValid() || !e.cfg.NoRelay && r.Supernode != nil && r.Supernode.Reachable()
}

// takeEcho takes the answer to a ping that somebody asked for. It reports whether
// it was one.
func (e *Edge) takeEcho(now time.Time, p *peer, nonce [8]byte, from dataplane.Origin) bool {
	i := slices.IndexFunc(e.echoes.list, func(x *echo) bool {
		return x.peer == p && x.nonce == nonce && !x.sent.IsZero()
	})
	if i < 0 {
		return false
	}
	x := e.echoes.list[i]
	e.echoes.list = slices.Delete(e.echoes.list, i, i+1)
	ping := x.document()
	if from.Supernode == nil {
		ping.PathStatus = e.wayDirect(p, from.Addr)
	} else {
		ping.PathStatus = e.wayRelayed(now, p, e.links[from.Supernode.ID()])
	}
	ping.Answered, ping.RTTms = true, milliseconds(now.Sub(x.sent))
	x.answer <- echoed{ping: ping}
	return true
}

// document returns what is known of a ping from the start.
func (x *echo) document() control.Ping {
	return control.Ping{Name: x.peer.about.Name, ID: crypto.ShortID(x.peer.id.statement.ID[:]), Size: x.size, Pieces: x.pieces}
}

// unanswered returns what is told of a ping without an answer: by which way it
// went, if it did, and why it may have been in vain.
func (e *Edge) unanswered(now time.Time, x *echo) control.Ping {
	ping := x.document()
	if x.sent.IsZero() {
		ping.PathStatus = control.PathStatus{Path: control.PathNone, Reason: e.unreached(x.peer)}
		return ping
	}
	ping.PathStatus = e.way(now, x.peer)
	ping.RTTms = nil // that is of frames which came
	return ping
}

// kindOf names the kind of a peer's address, empty while it is not known.
func (e *Edge) kindOf(p *peer, a netip.AddrPort) string {
	if _, ok := e.turnPeer(a); ok {
		return address.KindTURN.String()
	}
	if p.path == nil {
		return ""
	}
	if r := p.path.Route(); r.Direct == a && r.Kind != 0 {
		return r.Kind.String()
	}
	return ""
}

// kind names what a supernode is reached by.
func (l *link) kind() string {
	if l.streaming() {
		return control.KindTLS
	}
	return control.KindUDP
}

// unreached says why frames to a peer have no path at all.
func (e *Edge) unreached(p *peer) string {
	switch r := p.view.Route(); {
	case e.cfg.NoRelay && r.Session != nil:
		return "frames wait for a direct path, since none may pass a supernode"
	case p.handshake.active:
		return "it has not answered our handshake yet"
	case r.Session == nil:
		return "no traffic, so there is no session"
	}
	return "no supernode knows it now"
}

// title returns what a person knows a peer by.
func (p *peer) title() string {
	if p.about.Name != "" {
		return p.about.Name
	}
	return crypto.ShortID(p.id.statement.ID[:])
}
