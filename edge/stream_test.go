package edge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/protocol"
)

// atServer is where the supernode of testConfig is.
var atServer = netip.MustParseAddrPort("203.0.113.1:7654")

// A stream is wanted a second after UDP was asked and did not answer, at once when
// pings get lost or nothing else may be used, and not while UDP serves.
func TestWhenAStreamIsMade(t *testing.T) {
	const never = -1
	for _, c := range []struct {
		name  string
		only  bool
		ready func(s *supernode)
		want  time.Duration // after noon
	}{
		{"nothing was asked", false, func(*supernode) {}, never},
		{"INIT", false, func(s *supernode) { _, _ = s.init.initiator.Start(noon) }, streamAfter},
		{"HELLO", false, func(s *supernode) { s.hello.active, s.hello.begun = true, noon }, streamAfter},
		{"its name is unknown here", false, func(s *supernode) { s.where.failed = noon }, streamAfter},
		{"registered", false, func(s *supernode) { s.grant.done = true }, never},
		{"a ping is missing", false, func(s *supernode) { s.grant.done, s.keepalive.missed = true, 1 }, never},
		{"two pings are missing", false, func(s *supernode) { s.grant.done, s.keepalive.missed = true, 2 }, 0},
		{"nothing but streams", true, func(*supernode) {}, 0},
		{"one failed just now", true, func(s *supernode) { s.stream.next = noon.Add(time.Minute) }, time.Minute},
		{"one is being made", true, func(s *supernode) { s.stream.dialing = true }, never},
		{"there is one", true, func(s *supernode) { s.stream.conn = silentStream{} }, never},
	} {
		e := newEdge(t, func(cfg *Config) { withTransports(cfg); cfg.Reach.StreamOnly = c.only })
		s := e.servers.list[0]
		s.init.initiator.Stop()
		s.where.addrs = nil
		c.ready(s)
		got := time.Duration(never)
		if at := e.servers.connector.streamAt(noon, s); !at.IsZero() {
			got = at.Sub(noon)
		}
		if got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
		e.settle(noon)
		if at := s.stream.making.At(); at.IsZero() != (c.want == never) || c.want != never && !at.Equal(noon.Add(c.want)) {
			t.Errorf("%s: registered for %v", c.name, at)
		}
	}
}

// The first answer by UDP leads a supernode back from its stream, unless it is to
// use nothing else or is on its way already.
func TestBackToUDP(t *testing.T) {
	for _, c := range []struct {
		name string
		only bool
		from netip.AddrPort
		busy bool
		want bool
	}{
		{"an answer", false, atServer, false, true},
		{"of somebody else", false, netip.MustParseAddrPort("203.0.113.9:7654"), false, false},
		{"while an INIT is under way", false, atServer, true, false},
		{"with streams only", true, atServer, false, false},
	} {
		e := newEdge(t, func(cfg *Config) { withTransports(cfg); cfg.Reach.StreamOnly = c.only })
		s := e.servers.list[0]
		s.where.addrs = []netip.AddrPort{atServer}
		s.stream.conn, s.stream.side, s.hop.at = silentStream{}, destination(9), destination(9)
		s.grant.done = true
		s.init.initiator.Stop()
		if c.busy {
			_, _ = s.init.initiator.Start(noon)
		}
		e.conn.take()
		(*networkObserver)(e.Edge).STUNAnswered(noon, c.from)
		sent := e.sentNow()
		if got := len(sent) == 1 && sent[0].to == atServer && s.streaming() && s.registered(); got != c.want {
			t.Errorf("%s: %+v, streaming %v", c.name, sent, s.streaming())
		}
	}
}

// memoryStream is a stream that a test ends.
type memoryStream struct {
	sent         chan []byte
	done, closed chan struct{}
	end, close   sync.Once
}

func newMemoryStream() *memoryStream {
	return &memoryStream{sent: make(chan []byte, 10), done: make(chan struct{}), closed: make(chan struct{})}
}

func (s *memoryStream) Send(pkt []byte)       { s.sent <- append([]byte(nil), pkt...) }
func (s *memoryStream) Done() <-chan struct{} { return s.done }
func (s *memoryStream) String() string        { return "TLS to a test" }

// ends lets the far end close the stream.
func (s *memoryStream) ends() { s.end.Do(func() { close(s.done) }) }

func (s *memoryStream) Close() {
	s.ends()
	s.close.Do(func() { close(s.closed) })
}

// streamer makes streams, or fails as it is told to.
type streamer struct {
	err     error
	dials   int
	stream  *memoryStream
	deliver func([]byte)
}

func (d *streamer) dial(_ context.Context, _ underlay.StreamPlace, deliver func([]byte)) (underlay.Stream, error) {
	d.dials++
	if d.err != nil {
		return nil, d.err
	}
	d.stream = newMemoryStream()
	d.deliver = deliver
	return d.stream, nil
}

// TestStreamToLastGoodAddress makes the stream to where the supernode answered last, if its
// name cannot be looked up; through a proxy that knows the name none of that is needed.
func TestStreamToLastGoodAddress(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []string
	}{
		{&net.DNSError{Err: "no answer", IsTimeout: true}, []string{"sn.example", "203.0.113.1"}},
		{errors.New("connection refused"), []string{"sn.example"}},
	} {
		n := &names{err: errors.New("no such host")}
		hosts := make(chan string, 9)
		dir := remembered(t)
		e := newEdge(t, func(cfg *Config) {
			byName(n, dir)(cfg)
			withTransports(cfg)
			cfg.Transports.Dial = func(_ context.Context, to underlay.StreamPlace, _ func([]byte)) (underlay.Stream, error) {
				hosts <- to.Host
				return nil, fmt.Errorf("cannot reach %s: %w", to.Host, c.err)
			}
		})
		e.await(noon)
		e.servers.connector.dialStream(noon, e.servers.list[0])
		e.await(noon)
		close(hosts)
		var got []string
		for h := range hosts {
			got = append(got, h)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: dialled %q, want %q", c.err, got, c.want)
		}
	}
}

// withStreams lets an edge reach supernodes by the streams of a test alone.
func withStreams(d *streamer) func(*Config) {
	return func(c *Config) {
		withTransports(c)
		c.Transports.Dial, c.Reach.StreamOnly = d.dial, true
	}
}

// TestStreamIsMade follows a stream from the wish for it to the session over it.
func TestStreamIsMade(t *testing.T) {
	d := &streamer{}
	e := newEdge(t, withStreams(d))
	s := e.servers.list[0]
	if sent := e.conn.take(); len(sent) != 0 {
		t.Errorf("%d datagrams by UDP", len(sent))
	}
	e.pass(noon)
	if !s.stream.dialing {
		t.Fatal("it is not made")
	}
	e.await(noon)
	if s.stream.conn != d.stream || s.stream.dialing || len(e.told(control.EventStream)) != 1 || !underlay.IsSide(s.stream.side) || !s.init.active() {
		t.Fatalf("stream %v, dialing %v", s.stream.conn, s.stream.dialing)
	}
	for _, d := range e.conn.take() { // besides STUN, which asks whether UDP gets through by now
		if len(d.pkt) == protocol.InitLen && d.to != s.stream.side {
			t.Errorf("an INIT went to %v", d.to)
		}
	}
	e.sides().send[s.stream.side]([]byte{1})
	<-d.stream.sent // the socket of side addresses hands it over
	d.deliver([]byte{2})
	if got := e.sides().delivered; len(got) != 1 || got[0].to != s.stream.side {
		t.Errorf("%+v came in", got)
	}
	if known := sourcesOf(e); !known[s.stream.side] || !known[atServer] {
		t.Errorf("the queues know %v", known)
	}
}

// sourcesOf returns the addresses that the queues know as a server's.
func sourcesOf(e *testEdge) map[netip.AddrPort]bool {
	m := make(map[netip.AddrPort]bool)
	for a := range e.data.draft.Sources() {
		m[a] = true
	}
	return m
}

// A failure is told once for each reason, and the next attempt waits for longer.
func TestStreamFails(t *testing.T) {
	d := &streamer{err: errors.New("refused")}
	e := newEdge(t, withStreams(d))
	s, now := e.servers.list[0], noon
	var waits []time.Duration
	for range 8 {
		e.pass(now)
		e.await(now)
		waits = append(waits, s.stream.next.Sub(now))
		now = s.stream.next
	}
	for i, w := range waits {
		if least := min(streamRetry<<i, streamMost); w < least || w > least+time.Second {
			t.Errorf("wait %d is %v, want %v", i, w, least)
		}
	}
	if n := len(e.told(control.EventStreamFailed)); n != 1 || d.dials != 8 || s.stream.tries != 8 {
		t.Errorf("told %d times, %d dials", n, d.dials)
	}
	d.err = errors.New("something else")
	e.pass(now)
	e.await(now)
	if n := len(e.told(control.EventStreamFailed)); n != 2 {
		t.Errorf("another reason is told %d times", n)
	}
}

// A stream that ends in the middle of a session takes the registration with it.
func TestStreamEnds(t *testing.T) {
	d := &streamer{}
	e := newEdge(t, withStreams(d))
	s := e.servers.list[0]
	e.pass(noon)
	e.await(noon)
	e.hop()
	s.hop.at, s.grant.done = s.stream.side, true
	s.publishHop()
	e.settle(noon)
	if !s.streaming() || s.status(e.underlay.Lifetime).Stream != d.stream.String() || s.transportKind() != control.KindTLS || s.silentSince() != (time.Time{}) {
		t.Fatalf("status %+v", s.status(e.underlay.Lifetime))
	}
	side := s.stream.side
	d.stream.ends()
	e.await(noon.Add(time.Minute))
	<-d.stream.closed
	if s.stream.conn != nil || s.registered() || s.hop.broken || len(e.told(control.EventSupernodeLost)) != 1 || sourcesOf(e)[side] {
		t.Errorf("stream %v, registered %v", s.stream.conn, s.registered())
	}
	if _, kept := e.sides().send[side]; kept {
		t.Error("its side address is kept")
	}
	if !s.stream.making.IsSet() || s.stream.making.At().After(noon.Add(time.Minute+time.Second)) {
		t.Errorf("the next one is made at %v", s.stream.making.At())
	}
	// What ends late is of no concern to the next one.
	e.servers.connector.streamEnded(noon, s, d.stream)
	if s.hop.broken {
		t.Error("a former stream breaks the session")
	}
}

// A stream lingers for ten seconds after the return to UDP.
func TestStreamIsSpared(t *testing.T) {
	e := newEdge(t, withTransports)
	s := e.hop()
	stream := newMemoryStream()
	s.stream.conn, s.stream.side, s.hop.at = stream, destination(9), destination(9)
	s.grant.done = true
	e.settle(noon)
	if s.stream.sparing.IsSet() {
		t.Error("it is spared while it serves")
	}
	s.hop.at = atServer
	e.settle(noon)
	if at := s.stream.sparing.At(); !at.Equal(noon.Add(streamLinger)) {
		t.Fatalf("spared at %v", at)
	}
	e.pass(noon.Add(streamLinger - 1))
	if s.stream.conn == nil {
		t.Error("ended too early")
	}
	e.pass(noon.Add(streamLinger))
	<-stream.closed
	if s.stream.conn != nil || s.stream.sparing.IsSet() || sourcesOf(e)[destination(9)] || !s.registered() {
		t.Errorf("stream %v at %v", s.stream.conn, s.stream.side)
	}
}

// A stream that is ready when UDP has answered meanwhile is kept and not used; it
// serves when the pings get lost after all.
func TestStreamInReserve(t *testing.T) {
	d := &streamer{}
	e := newEdge(t, withTransports)
	e.cfg.Transports.Dial = d.dial
	s := e.hop()
	s.grant.done = true
	e.servers.connector.dialStream(noon, s)
	e.await(noon)
	if s.stream.conn == nil || s.streaming() || s.init.active() || len(e.told(control.EventStream)) != 0 {
		t.Errorf("stream %v at %v", s.stream.conn, s.stream.side)
	}
	e.conn.take()
	e.servers.registrar.lost(noon, s)
	e.settle(noon)
	if sent := e.conn.take(); !s.init.active() || s.init.to != s.stream.side || len(sent) == 0 || sent[len(sent)-1].to != s.stream.side {
		t.Errorf("an INIT to %v, sent %+v", s.init.to, sent)
	}
}
