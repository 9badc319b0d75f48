package edge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Bounds of the pings that the user asks for.
const (
	echoWait    = 5 * time.Second // for an answer, and for a session to ask in
	maxEchoes   = 64              // at once
	defaultEcho = 64              // bytes of the frame that a ping is as long as
	leastEcho   = protocol.PingLen + protocol.MinPingPad
	mostEcho    = MaxMTU + 14 + 4 // the longest frame there is, with a tag
)

// echoes are the pings that the user waits for. The paths keep lists of their own
// pings, and know nothing of these.
type echoes struct {
	list      []*echo
	pairs     pairSender
	plane     *dataplane.Plane
	random    *random
	describer *describer
	timers    timer.Queue
	expiry    timer.Timer // when the next one has waited for long enough
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

func (l *echoes) open() { l.expiry = timer.New(&l.timers, "give a ping up", l.expire) }

func (l *echoes) deadline() time.Time { return l.timers.Next() }
func (l *echoes) tick(now time.Time)  { l.timers.Run(now) }

// add keeps a ping until the peer can be reached, and then until it is answered.
func (l *echoes) add(now time.Time, p *peer, size int, answer chan<- echoed) error {
	if size == 0 {
		size = defaultEcho
	}
	switch {
	case size < leastEcho:
		return fmt.Errorf("a ping is as long as a frame of %d bytes at least, not of %d", leastEcho, size)
	case size > mostEcho:
		return fmt.Errorf("a ping is as long as a frame of %d bytes at most, not of %d", mostEcho, size)
	case len(l.list) >= maxEchoes:
		return fmt.Errorf("%d pings are under way: wait for them", maxEchoes)
	}
	x := &echo{peer: p, nonce: l.random.nonce(), size: size, until: now.Add(echoWait), answer: answer}
	l.list = append(l.list, x)
	l.expiry.NotAfter(x.until)
	p.view.SetUsed(l.plane.Since(now))
	return nil
}

// settle sends the pings whose peer can be reached by now.
func (l *echoes) settle(now time.Time) {
	for _, x := range l.list {
		if r := x.peer.view.Route(); x.sent.IsZero() && l.carries(&r) {
			x.sent = now
			m := protocol.Ping{Nonce: x.nonce, Pad: x.size - protocol.PingLen}
			x.pieces = l.pairs.sendFragmented(x.peer, r, r.MaxInner(), m.Append)
		}
	}
}

// expire gives up the pings that have waited for long enough.
func (l *echoes) expire(now time.Time) {
	l.list = slices.DeleteFunc(l.list, func(x *echo) bool {
		if now.Before(x.until) {
			l.expiry.NotAfter(x.until)
			return false
		}
		x.answer <- echoed{ping: l.unanswered(now, x)}
		return true
	})
}

// carries reports whether frames would leave by a route inside a session.
func (l *echoes) carries(r *dataplane.Route) bool {
	if r.Session == nil {
		return false
	}
	return r.Direct.IsValid() || !l.plane.NoRelay() && r.Supernode != nil && r.Supernode.Reachable()
}

// answered gives the user the answer to a ping. It reports whether it was one.
func (l *echoes) answered(now time.Time, p *peer, nonce [8]byte, from dataplane.Origin) bool {
	i := slices.IndexFunc(l.list, func(x *echo) bool {
		return x.peer == p && x.nonce == nonce && !x.sent.IsZero()
	})
	if i < 0 {
		return false
	}
	x := l.list[i]
	l.list = slices.Delete(l.list, i, i+1)
	ping := x.document()
	ping.PathStatus = l.describer.by(now, p, from)
	ping.Answered, ping.RTTms = true, milliseconds(now.Sub(x.sent))
	x.answer <- echoed{ping: ping}
	return true
}

// document returns what is known of a ping from the start.
func (x *echo) document() control.Ping {
	return control.Ping{Name: x.peer.about.Name, ID: x.peer.shortID(), Size: x.size, Pieces: x.pieces}
}

// unanswered returns what is told of a ping without an answer: by which path it
// went, if it did, and why it may have been in vain.
func (l *echoes) unanswered(now time.Time, x *echo) control.Ping {
	ping := x.document()
	if x.sent.IsZero() {
		ping.PathStatus = control.PathStatus{Path: control.PathNone, Reason: l.describer.unreached(x.peer)}
		return ping
	}
	ping.PathStatus = l.describer.path(now, x.peer)
	ping.RTTms = nil // that is of frames which came
	return ping
}

// Ping sends one ping to a peer inside the pair session, by the route that frames
// take at that moment, and waits up to five seconds for its answer; without one
// Answered is false. It needs no addresses, passes the firewalls of both hosts,
// and counts as a use of the path, as a frame does. What is longer than the path
// takes whole goes in pieces there and back, as a frame does. The error is a
// sentence: nobody or more than one is called so, or no frame is of that size.
func (e *Edge) Ping(ctx context.Context, q control.PingRequest) (control.Ping, error) {
	answer := make(chan echoed, 1)
	failed, err := ask(ctx, e, func(now time.Time) error { return e.beginPing(now, q, answer) })
	if err = errors.Join(err, failed); err != nil {
		return control.Ping{}, err
	}
	select {
	case got := <-answer:
		return got.ping, got.err
	case <-e.background.done:
		return control.Ping{}, errEnded
	case <-ctx.Done():
		return control.Ping{}, ctx.Err()
	}
}

// beginPing makes a ping to whom the user means.
func (e *Edge) beginPing(now time.Time, q control.PingRequest, answer chan<- echoed) error {
	p, err := e.peers.lookUp(q.Peer, e.self)
	if err != nil {
		return err
	}
	if err := e.user.echoes.add(now, p, q.Size, answer); err != nil {
		return err
	}
	e.peers.mark(p)
	e.needed(now, p)
	return nil
}
