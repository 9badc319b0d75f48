package edge

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
)

// Times of streams, which carry what goes to a supernode where UDP is blocked
// (docs/NAT.md).
const (
	streamAfter  = time.Second      // without an answer by UDP
	streamMissed = 2                // pings in a row; then a stream is made ready
	streamRetry  = 2 * time.Second  // after the first failure, doubling
	streamMost   = time.Minute      // and up to a second of chance
	streamLinger = 10 * time.Second // after the return to UDP, for what is still on its way
	udpTries     = 3                // INITs by UDP while a stream serves; its answers come within a second
)

// streamAt returns when a stream should be made, zero: it is not wanted.
func (c *connector) streamAt(now time.Time, s *supernode) time.Time {
	t := &s.stream
	if c.transports.Dial == nil || t.conn != nil || t.dialing || c.useless(s) || s.kin.first != nil {
		return time.Time{} // the name of a second supernode may lead a stream to the first
	}
	var at time.Time
	switch since := s.silentSince(); {
	case c.streamOnly, s.registered() && s.keepalive.missed >= streamMissed:
		at = now
	case !since.IsZero():
		at = since.Add(streamAfter)
	default:
		return time.Time{}
	}
	if at.Before(t.next) {
		at = t.next
	}
	return at
}

// useless reports whether UDP gets through to a supernode that does not
// understand us: a stream to it would be of no use.
func (c *connector) useless(s *supernode) bool { return s.hello.older && !c.streamOnly }

// settleStream registers when a stream is made, because UDP seems to be blocked,
// and when it is let go because it is no longer needed.
func (c *connector) settleStream(now time.Time, s *supernode) {
	s.stream.making.Set(c.streamAt(now, s))
	switch {
	case s.stream.conn == nil || s.streaming() || !s.registered():
		s.stream.sparing.Stop()
	case !s.stream.sparing.IsSet():
		s.stream.sparing.Set(now.Add(streamLinger))
	}
}

// dialStream makes a stream in the background.
func (c *connector) dialStream(now time.Time, s *supernode) {
	t := &s.stream
	t.dialing, t.next = true, now.Add(min(streamRetry<<min(t.tries, 5), streamMost)+c.random.jitter(time.Second))
	sides, dial, to, last := c.transports.Sides, c.transports.Dial, underlay.StreamPlace{Host: s.cfg.Host, Port: s.cfg.Port}, s.addr()
	if len(s.cfg.ObfsKey) > 0 {
		to.Path = crypto.ObfsStreamPath(s.cfg.ObfsKey)
	}
	if t.place = c.locator.pointers.streamTo(s); t.place.IsValid() {
		to.Host, to.Port, last = t.place.Addr().String(), t.place.Port(), netip.AddrPort{}
	}
	c.loop.Go(func(running context.Context) {
		// A stream outlives the end of running by its Close, so that a last word
		// still leaves; a dial does not.
		ctx, cancel := context.WithCancel(context.WithoutCancel(running))
		giveUp := context.AfterFunc(running, cancel)
		ready := make(chan netip.AddrPort, 1)
		var side netip.AddrPort
		deliver := func(pkt []byte) {
			if !side.IsValid() { // the stream has one goroutine that delivers
				side = <-ready
			}
			sides.Deliver(side, pkt)
		}
		conn, err := dial(ctx, to, deliver)
		var unknown *net.DNSError
		if errors.As(err, &unknown) && last.IsValid() {
			to.Host = last.Addr().String()
			conn, err = dial(ctx, to, deliver)
		}
		var at netip.AddrPort
		if giveUp(); err == nil {
			at = sides.Add(conn.Send)
			ready <- at
			context.AfterFunc(running, conn.Close)
			c.loop.Go(func(context.Context) { <-conn.Done(); cancel() })
		} else {
			cancel()
		}
		c.loop.Do(func(now time.Time) { c.dialed(now, s, conn, at, err) })
	})
}

// dialed begins to register over a stream that was made, unless UDP has answered
// meanwhile.
func (c *connector) dialed(now time.Time, s *supernode, conn underlay.Stream, side netip.AddrPort, err error) {
	t := &s.stream
	t.dialing = false
	if err != nil {
		c.locator.pointers.silent(now, s, t.place)
		t.tries++
		if text := err.Error(); text != t.failed {
			t.failed = text
			c.reports.report(now, control.Event{Kind: control.EventStreamFailed, Supernode: s.cfg.Name, Err: err})
		}
		return
	}
	t.conn, t.side, t.tries, t.failed = conn, side, 0, ""
	c.loop.Go(func(context.Context) {
		<-conn.Done()
		c.loop.Do(func(now time.Time) { c.streamEnded(now, s, conn) })
	})
	if s.registered() && s.keepalive.missed == 0 {
		return
	}
	if c.useless(s) {
		c.dropStream(s)
		return
	}
	if !s.hello.older {
		c.reports.report(now, control.Event{Kind: control.EventStream, Supernode: s.cfg.Name, Text: conn.String(), Err: s.fault()})
	}
	c.beginAt(now, s, side)
}

// streamEnded forgets a stream that has ended.
func (c *connector) streamEnded(now time.Time, s *supernode, conn underlay.Stream) {
	if s.stream.conn != conn {
		return
	}
	if s.hop.broken = s.streaming(); !s.hop.broken {
		c.locator.pointers.silent(now, s, s.stream.place)
	}
	c.dropStream(s)
	s.stream.next = now.Add(c.random.jitter(time.Second))
}

// endSpareStream lets a stream go that the session has not used for a while.
func (c *connector) endSpareStream(now time.Time, s *supernode) { c.dropStream(s) }

// dropStream closes the stream to a supernode.
func (c *connector) dropStream(s *supernode) {
	t := &s.stream
	if t.conn == nil {
		return
	}
	closing := t.conn
	c.loop.Go(func(context.Context) { closing.Close() }) // it sends what still waits
	c.transports.Sides.Remove(t.side)
	t.conn, t.side, t.place = nil, netip.AddrPort{}, netip.AddrPort{}
}

// udpAnswered notes that something came from an address by UDP. A supernode that
// is reached by a stream or another port is tried there again: the session over that lives
// on until the other one is up, so that nothing is lost.
func (c *connector) udpAnswered(now time.Time, from netip.AddrPort) {
	for _, s := range c.supernodes {
		if !c.streamOnly && s.fallenBack() && s.key != nil && !s.init.active() && slices.Contains(s.where.addrs, from) {
			c.beginAt(now, s, from)
		}
	}
}
