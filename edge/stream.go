package edge

import (
	"context"
	"net/netip"
	"slices"
	"time"
)

// Times of streams, which carry what goes to a supernode where UDP is blocked
// (docs/NAT.md).
const (
	streamAfter  = time.Second      // without an answer by UDP
	streamMissed = 2                // pings in a row; then a stream is made ready
	streamRetry  = 2 * time.Second  // after the first failure, doubling
	streamMost   = time.Minute      // and up to a second of chance
	streamLinger = 10 * time.Second // after the way back to UDP, for what is still on the way
	udpTries     = 3                // INITs by UDP while a stream serves; its answers come within a second
)

// streamLink is the stream to one supernode.
type streamLink struct {
	conn   Stream         // nil: none
	side   netip.AddrPort // stands for conn
	dials  bool           // one is being made
	tries  int            // failures in a row
	next   time.Time      // when another may be made
	spare  time.Time      // since when the link has done without it; zero: it is used
	failed string         // why the last one could not be made
}

// streaming reports whether the link's session runs over its stream.
func (l *link) streaming() bool { return l.stream.conn != nil && l.at == l.stream.side }

// streamText says which stream the link's session runs over; empty: none.
func (l *link) streamText() string {
	if !l.streaming() {
		return ""
	}
	return l.stream.conn.String()
}

// silent returns since when the supernode has not answered by UDP though it was
// asked, zero: it has.
func (l *link) silent() time.Time {
	switch {
	case l.registered() && !l.streaming():
		return time.Time{}
	case l.hello.active:
		return l.hello.begun
	case l.init.active:
		return l.init.begun
	case !l.where.again.IsZero(): // its name cannot be resolved here; a proxy may know it
		return l.where.failed
	}
	return time.Time{}
}

// streamAt returns when a stream should be made, zero: it is not wanted.
func (e *Edge) streamAt(l *link) time.Time {
	s := &l.stream
	if e.cfg.Ways.Dial == nil || s.conn != nil || s.dials {
		return time.Time{}
	}
	var at time.Time
	switch since := l.silent(); {
	case e.cfg.StreamOnly, l.registered() && l.ping.missed >= streamMissed:
		at = e.plane.Started()
	case !since.IsZero():
		at = since.Add(streamAfter)
	default:
		return time.Time{}
	}
	if at.Before(s.next) {
		at = s.next
	}
	return at
}

// streamDeadline returns when tickStream has something to do next.
func (e *Edge) streamDeadline(l *link) time.Time {
	d := e.streamAt(l)
	if !l.stream.spare.IsZero() {
		d = earliest(d, l.stream.spare.Add(streamLinger))
	}
	return d
}

// tickStream makes a stream when UDP seems to be blocked, and lets one go that is
// no longer needed.
func (e *Edge) tickStream(now time.Time, l *link) {
	s := &l.stream
	if due(now, e.streamAt(l)) {
		e.dialStream(now, l)
	}
	switch {
	case s.conn == nil || l.streaming() || !l.registered():
		s.spare = time.Time{}
	case s.spare.IsZero():
		s.spare = now
	case now.Sub(s.spare) >= streamLinger:
		e.dropStream(l)
	}
}

// dialStream makes a stream in the background.
func (e *Edge) dialStream(now time.Time, l *link) {
	s := &l.stream
	s.dials, s.next = true, now.Add(min(streamRetry<<min(s.tries, 5), streamMost)+e.jitter(time.Second))
	sides, dial, to := e.cfg.Ways.Sides, e.cfg.Ways.Dial, l.cfg
	e.workers.Go(func() {
		// A stream outlives the end of running by its Close, so that a last word
		// still leaves; a dial does not.
		ctx, cancel := context.WithCancel(context.WithoutCancel(e.running))
		giveUp := context.AfterFunc(e.running, cancel)
		ready := make(chan netip.AddrPort, 1)
		var side netip.AddrPort
		conn, err := dial(ctx, to, func(pkt []byte) {
			if !side.IsValid() { // the stream has one goroutine that delivers
				side = <-ready
			}
			sides.Deliver(side, pkt)
		})
		var at netip.AddrPort
		if giveUp(); err == nil {
			at = sides.Add(conn.Send)
			ready <- at
			context.AfterFunc(e.running, conn.Close)
			e.workers.Go(func() { <-conn.Done(); cancel() })
		} else {
			cancel()
		}
		select {
		case e.requests <- func(now time.Time) { e.takeStream(now, l, conn, at, err) }:
		case <-e.running.Done():
		}
	})
}

// takeStream begins to register over a stream that was made, unless UDP has
// answered meanwhile.
func (e *Edge) takeStream(now time.Time, l *link, conn Stream, side netip.AddrPort, err error) {
	s := &l.stream
	s.dials = false
	if err != nil {
		s.tries++
		if text := err.Error(); text != s.failed {
			s.failed = text
			e.report(now, Event{Kind: EventStreamFailed, Supernode: l.cfg.Name, Err: err})
		}
		return
	}
	s.conn, s.side, s.tries, s.failed, s.spare = conn, side, 0, "", time.Time{}
	e.publish(now) // what it brings is this supernode's
	e.workers.Go(func() {
		<-conn.Done()
		select {
		case e.requests <- func(now time.Time) { e.endStream(now, l, conn) }:
		case <-e.running.Done():
		}
	})
	if l.registered() && l.ping.missed == 0 {
		return
	}
	e.report(now, Event{Kind: EventStream, Supernode: l.cfg.Name, Text: conn.String()})
	e.beginOver(now, l, side)
}

// endStream forgets a stream that has ended.
func (e *Edge) endStream(now time.Time, l *link, conn Stream) {
	if l.stream.conn != conn {
		return
	}
	used := l.streaming()
	e.dropStream(l)
	l.stream.next = now.Add(e.jitter(time.Second))
	if used {
		e.lostLink(now, l)
	}
}

// dropStream closes the stream of a link.
func (e *Edge) dropStream(l *link) {
	s := &l.stream
	if s.conn == nil {
		return
	}
	e.workers.Go(s.conn.Close) // it sends what still waits
	e.cfg.Ways.Sides.Remove(s.side)
	s.conn, s.side, s.spare = nil, netip.AddrPort{}, time.Time{}
	e.dirty = true
}

// beginOver begins a handshake at one address only.
func (e *Edge) beginOver(now time.Time, l *link, to netip.AddrPort) {
	if l.key == nil {
		l.hello = helloOut{begun: now, to: to}
		e.sendHello(now, l)
		return
	}
	l.init = hopInit{active: true, begun: now, last: l.init.last, to: to}
	e.sendHopInit(now, l)
}

// udpAnswers notes that something came from an address by UDP. A supernode that
// is reached by a stream is tried there again: the session over the stream lives
// on until the other one is up, so that nothing is lost.
func (e *Edge) udpAnswers(now time.Time, from netip.AddrPort) {
	for _, l := range e.links {
		if !e.cfg.StreamOnly && l.streaming() && l.key != nil && !l.init.active && slices.Contains(l.where.addrs, from) {
			e.beginOver(now, l, from)
		}
	}
}
