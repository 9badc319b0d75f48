package sim

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/nat/nattest"
	"hedgerow/supernode"
	"hedgerow/transport"
	streams "hedgerow/transport/stream"
)

// Times of streams, those of package transport/stream and of the edge's command.
const (
	dialTime  = 4 * time.Second
	admitTime = 5 * time.Second
)

// StreamPath is what lies between edges and the TCP ports of supernodes. The zero
// value lets streams through. Its methods may be called from any goroutine.
type StreamPath struct {
	mu      sync.Mutex
	refuse  error
	hang    bool
	proxied bool
	dials   []time.Time
	hosts   []string // that dials were to
}

// Refuse has every dial fail with an error after a round trip: that of a closed
// port, or what a proxy says. Nil lets streams through.
func (p *StreamPath) Refuse(err error) { p.set(func() { p.refuse = err }) }

// Hang has dials get no answer, until their time is over.
func (p *StreamPath) Hang(hang bool) { p.set(func() { p.hang = hang }) }

// Proxy puts a proxy there, which knows the names that an edge does not.
func (p *StreamPath) Proxy(there bool) { p.set(func() { p.proxied = there }) }

// Dials returns when streams were dialled.
func (p *StreamPath) Dials() []time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]time.Time(nil), p.dials...)
}

// to returns when streams to an address were dialled.
func (p *StreamPath) to(a netip.Addr) (times []time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, host := range p.hosts {
		if host == a.String() {
			times = append(times, p.dials[i])
		}
	}
	return times
}

func (p *StreamPath) hasProxy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.proxied
}

func (p *StreamPath) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// pass takes the time that TCP, TLS and a WebSocket take to open, and returns why
// they do not.
func (p *StreamPath) pass(ctx context.Context, host string, roundTrip time.Duration) error {
	p.mu.Lock()
	p.dials, p.hosts = append(p.dials, time.Now()), append(p.hosts, host)
	wait, err := 3*roundTrip, p.refuse
	if err != nil {
		wait = roundTrip
	}
	if p.hang {
		wait, err = dialTime, context.DeadlineExceeded
	}
	p.mu.Unlock()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(wait):
		return err
	}
}

// lines are the streams that an edge has opened and that have not ended.
type lines struct {
	mu   sync.Mutex
	open []*nattest.Stream
}

// Streams returns the edge's ends of its streams that live, oldest first.
func (e *Edge) Streams() (list []*nattest.Stream) {
	e.lines.mu.Lock()
	defer e.lines.mu.Unlock()
	for _, s := range e.lines.open {
		select {
		case <-s.Done():
		default:
			list = append(list, s)
		}
	}
	e.lines.open = list
	return list
}

// line is a stream as an edge has it.
type line struct {
	*nattest.Stream
	name   string
	served chan struct{}
}

// String says where it leads.
func (l *line) String() string { return l.name }

// Close ends the stream and waits for its goroutine.
func (l *line) Close() {
	l.Stream.Close()
	<-l.served
}

// dial opens a stream to a supernode: underlay.Transports.Dial.
func (e *Edge) dial(ctx context.Context, to underlay.StreamPlace, deliver func(pkt []byte)) (underlay.Stream, error) {
	host, port := to.Host, to.Port
	path := e.options.Around.Streams
	if _, err := netip.ParseAddr(host); err != nil && !path.hasProxy() {
		if _, err := (names{e}).LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	if err := path.pass(ctx, host, 2*e.world.Net.Delay()); err != nil {
		return nil, fmt.Errorf("TCP port %d: %w", port, err)
	}
	server := e.supernode(host)
	if server == nil || server.streams == nil {
		return nil, errors.New("connection refused")
	}
	near, far := e.world.Net.Stream()
	if !server.streams.accept(e.host.Addresses()[0], far) {
		return nil, errors.New("connection refused")
	}
	l := &line{Stream: near, name: "TLS to " + host, served: make(chan struct{})}
	ended := context.AfterFunc(ctx, near.Close)
	go func() {
		defer close(l.served)
		defer ended()
		near.Serve(deliver)
	}()
	e.lines.mu.Lock()
	e.lines.open = append(e.lines.open, near)
	e.lines.mu.Unlock()
	return l, nil
}

// supernode returns the one that a configuration calls so, or its copy at an address.
func (e *Edge) supernode(host string) *Supernode {
	for i, s := range e.options.Supernodes {
		if host == e.supernodeHost(i) {
			return s
		}
		for _, c := range s.copies {
			if host == c.Addr.Addr().String() {
				return c
			}
		}
	}
	return nil
}

// streamServer is the double of stream.Server beside a supernode.
type streamServer struct {
	sides *transport.Sides

	mu        sync.Mutex
	serving   bool
	running   sync.WaitGroup
	open      map[netip.AddrPort]*accepted
	strangers uint64
}

// accepted is the supernode's end of a stream.
type accepted struct {
	*nattest.Stream
	source netip.Addr
	opened time.Time
	until  time.Time   // when it ends
	end    *time.Timer // ends it
	kept   bool        // a registered edge was there
}

// stay lets the stream stay until a time.
func (a *accepted) stay(until time.Time) {
	if until.After(a.until) {
		a.until = until
		a.end.Reset(time.Until(until))
	}
}

// takeStreams makes a supernode one that takes streams.
func (s *Supernode) takeStreams(cfg *supernode.Config, conn *nattest.Conn) {
	sides := transport.NewSides()
	reader, err := sides.Reader(conn, false)
	if err != nil {
		s.world.tb.Fatal(err)
	}
	s.streams = &streamServer{sides: sides, serving: true, open: make(map[netip.AddrPort]*accepted)}
	cfg.Conn, cfg.Streams = reader, s.streams
}

// accept takes a stream, and reports false when nobody serves.
func (x *streamServer) accept(source netip.Addr, s *nattest.Stream) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.serving {
		return false
	}
	side := x.sides.Add(s.Send)
	now := time.Now()
	x.open[side] = &accepted{Stream: s, source: source, opened: now, until: now.Add(admitTime), end: time.AfterFunc(admitTime, s.Close)}
	x.running.Go(func() {
		s.Serve(func(pkt []byte) { x.sides.Deliver(side, pkt) })
		x.sides.Remove(side)
		x.mu.Lock()
		defer x.mu.Unlock()
		a := x.open[side]
		a.end.Stop()
		if !a.kept {
			x.strangers++
		}
		delete(x.open, side)
	})
	return true
}

// Serve takes streams until ctx ends.
func (x *streamServer) Serve(ctx context.Context) error {
	<-ctx.Done()
	x.mu.Lock()
	x.serving = false
	for _, a := range x.open {
		a.Close()
	}
	x.mu.Unlock()
	x.running.Wait()
	return nil
}

// Admit lets a stream stay until a time after its opening.
func (x *streamServer) Admit(side netip.AddrPort, sinceOpened time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a := x.open[side]; a != nil {
		a.stay(a.opened.Add(sinceOpened))
	}
}

// Keep lets a stream of a registered edge stay for longer.
func (x *streamServer) Keep(side netip.AddrPort, longer time.Duration) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a := x.open[side]; a != nil {
		a.kept = true
		a.stay(time.Now().Add(longer))
	}
}

// Source returns where a stream came from.
func (x *streamServer) Source(side netip.AddrPort) netip.Addr {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a := x.open[side]; a != nil {
		return a.source
	}
	return netip.Addr{}
}

// Status counts the streams.
func (x *streamServer) Status() streams.Status {
	x.mu.Lock()
	defer x.mu.Unlock()
	return streams.Status{Open: len(x.open), Connections: len(x.open), Strangers: x.strangers}
}
