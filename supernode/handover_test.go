package supernode

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/handshake"
	"hedgerow/internal/handover"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// errSuccessor is what a successor fails with.
var errSuccessor = errors.New("the successor failed")

// handOver hands the state of a rig to a successor and returns the rig of that. The edges
// are its from then on.
func (r *rig) handOver(cfg Config, edges ...*fakeEdge) *rig {
	r.t.Helper()
	if cfg.Identity == nil && cfg.StateDir == "" {
		cfg.Identity = identity("supernode")
	}
	next := &rig{t: r.t, disk: r.disk, conn: newRecorder(), now: r.now, again: r.again, stamps: r.stamps}
	next.in.Buf = make([]byte, transport.ReadBufferLen)
	cfg.Conn, cfg.Now = next.conn, func() time.Time { return next.now }
	released := make(chan struct{})
	close(released)
	err := r.s.HandOver(func(state []byte) (err error) {
		next.s, err = Resume(cfg, state, released)
		return err
	})
	if err != nil {
		r.t.Fatal(err)
	}
	next.out = newOutbox()
	next.s.timers.Strict = func(name string) { r.t.Errorf("the timer %q is due again at once", name) }
	next.s.begin(next.now)
	next.verify()
	for _, e := range edges {
		e.r = next
	}
	return next
}

// guest is a new session of an edge that has not registered.
func (r *rig) guest(name string, n int) *fakeEdge {
	r.t.Helper()
	e := r.edge(testCommunity("c", "k"), name, n)
	e.connect()
	e.ask(&protocol.Ping{Pad: 100})
	return e
}

// TestHandOver hands a supernode over: who is here, was here, or is a guest goes on as if
// nothing had been.
func TestHandOver(t *testing.T) {
	r := newRig(t, Config{})
	c := testCommunity("c", "k")
	a, b, gone := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join(), r.edge(c, "gone", 3).join()
	other := r.edge(testCommunity("d", "k2"), "other", 4).join()
	guest := r.guest("guest", 5)
	gone.ask(&protocol.Unregister{})
	before := b.wrap(a.ack.Handle, 0, junk(80))
	r.deliver(b.addr, bytes.Clone(before))
	asked := a.seal(&protocol.Ping{Pad: 100})
	r.deliver(a.addr, bytes.Clone(asked))
	b.join()

	r.s.refused.failures.Count(handshake.ErrOlder)
	was, rigWas := r.s.Status(), r
	for i := range was.Communities {
		was.Communities[i].Month = admin.Month{} // it goes over by the disk: TestHandOverCounts
	}
	r = r.handOver(Config{}, a, b, gone, other, guest)
	if is := r.s.Status(); is.Edges != was.Edges || is.Leases != was.Leases || is.Sessions != was.Sessions || is.Guests != was.Guests ||
		!slices.Equal(is.Communities, was.Communities) || !maps.Equal(is.Drops, was.Drops) {
		t.Errorf("handed over: %+v\nwas: %+v", is, was)
	}
	for _, same := range []struct{ to, from *fakeEdge }{{a, b}, {b, a}} {
		pkt := same.from.wrap(same.to.ack.Handle, 0, junk(90))
		if _, got := same.to.unwrap(r.deliver(same.from.addr, bytes.Clone(pkt))); len(got) != 1 {
			t.Errorf("%d packets are relayed: %v", len(got), r.s.refused.drops.nonzero())
		}
		if _, got := same.to.unwrap(r.deliver(same.from.addr, pkt)); len(got) != 0 {
			t.Error("a packet is relayed twice")
		}
	}
	replays := r.dropped(dropReplay)
	if got := r.deliver(a.addr, asked); len(got) != 0 || r.dropped(dropReplay) != replays+1 {
		t.Errorf("a packet from before the hand-over gets %d answers", len(got))
	}
	if _, got := a.unwrap(r.deliver(b.addr, before)); len(got) != 0 {
		t.Error("a packet of a session that has ended is relayed")
	}
	lease, handle := a.ack.Lease, a.ack.Handle
	if ack, _ := a.register(a.request()); ack == nil || ack.Lease != lease || ack.Handle != handle {
		t.Errorf("registered anew: %+v", ack)
	}
	if ack, nak := guest.register(guest.request()); ack == nil {
		t.Errorf("the guest cannot register: %+v", nak)
	}
	lease = gone.ack.Lease
	if ack, _ := gone.join().register(gone.request()); ack == nil || ack.Lease != lease {
		t.Errorf("who was away has lost its lease: %+v, had %v", ack, lease)
	}
	if got := rigWas.s.HandOver(func([]byte) error { return nil }); !errors.Is(got, handover.ErrHandedOver) {
		t.Errorf("handed over again: %v", got)
	}
	if rigWas.s.sockets.gate.Enter() {
		t.Error("the predecessor can still send")
	}
}

// TestHandOverCounts hands over what was relayed, and what went over a limit: an operator
// sees the same before and after.
func TestHandOverCounts(t *testing.T) {
	cfg := Config{Limits: Limits{CommunityFloods: 10}, StateDir: t.TempDir()}
	r := newRig(t, cfg)
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1).join(), r.edge(c, "b", 2).join()
	for range 20 {
		r.deliver(a.addr, a.wrap(b.ack.Handle, 0, junk(80)))
		r.deliver(a.addr, a.wrap(protocol.HandleAll, 0, junk(50)))
	}
	counts := func() string {
		edge := r.edgesOf(c.ID())[hex.EncodeToString(a.id.ID)]
		all := r.s.Communities(0).Communities[0]
		if edge.Limited == nil || all.Limited == nil || edge.Relayed.Packets == 0 || edge.Relayed.FloodBytes == 0 || edge.Month.Used == 0 || edge.SourceMonth.Used == 0 || all.Month.Used == 0 {
			t.Errorf("nothing to hand over: %+v, %+v", edge, all)
			return ""
		}
		return fmt.Sprintf("%+v %+v %v %v, %+v %+v %v, %+v", edge.Relayed, *edge.Limited, edge.Month, edge.SourceMonth, all.Relayed, *all.Limited, all.Month, r.s.Status().Totals)
	}
	was := counts()
	r = r.handOver(cfg, a, b)
	if is := counts(); is != was {
		t.Errorf("handed over: %s\nwas: %s", is, was)
	}
}

// TestHandOverStream hands over an edge that came by a stream: its session goes on by
// another way, and nothing is sent to the stream of somebody else meanwhile.
func TestHandOverStream(t *testing.T) {
	r := newRig(t, Config{Streams: newNoStreams()})
	c := testCommunity("c", "k")
	a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
	a.addr = side(1)
	a.join()
	b.join()
	r = r.handOver(Config{}, a, b)
	for _, out := range r.deliver(b.addr, b.wrap(a.ack.Handle, 0, junk(80))) {
		if out.to != transport.EndedSide() {
			t.Errorf("a packet for a stream that has ended goes to %v", out.to)
		}
	}
	a.addr = address(7)
	for _, m := range a.ask(&protocol.Ping{Pad: 200}) {
		if ping, err := protocol.ParsePing(m.value); m.typ == protocol.MsgPing && err == nil {
			a.ask(&protocol.Pong{Nonce: ping.Nonce})
		}
	}
	if _, got := a.unwrap(r.deliver(b.addr, b.wrap(a.ack.Handle, 0, junk(80)))); len(got) != 1 {
		t.Errorf("%d packets reach the edge by UDP: %v", len(got), r.s.refused.drops.nonzero())
	}
}

// TestHandOverDamaged cuts and changes a state everywhere: it is refused, or makes a
// supernode whose tables hold together.
func TestHandOverDamaged(t *testing.T) {
	r := newRig(t, Config{Limits: Limits{CommunityBytes: 100}})
	c := testCommunity("c", "k")
	a := r.edge(c, "a", 1).join()
	r.edge(c, "b", 2).join().ask(&protocol.Unregister{})
	r.guest("guest", 5)
	for range 3 {
		r.deliver(a.addr, a.wrap(protocol.HandleAll, 0, junk(80)))
	}
	var whole []byte
	if err := r.s.HandOver(func(state []byte) error { whole = state; return errSuccessor }); !errors.Is(err, errSuccessor) {
		t.Fatal(err)
	}
	cfg := Config{Conn: newRecorder(), Identity: identity("supernode"), Now: func() time.Time { return r.now }}
	resume := func(state []byte) error {
		s, err := Resume(cfg, state, nil)
		if err == nil {
			if faults := s.invariants(); len(faults) > 0 {
				t.Fatalf("%v", faults)
			}
			for _, c := range s.registry.list {
				c.budget.excess.at(r.now).status()
			}
		}
		return err
	}
	if err := resume(whole); err != nil {
		t.Fatal(err)
	}
	keys := 4 + 32 + 1
	for n := range whole {
		if n > keys+64 && n < keys+bootBytes*resetKeyLen || n%3 == 1 {
			continue
		}
		if resume(whole[:n]) == nil {
			t.Fatalf("%d of %d bytes are a state", n, len(whole))
		}
		bad := bytes.Clone(whole)
		bad[n] ^= 0xff
		_ = resume(bad)
	}
	if resume(append(bytes.Clone(whole), 0)) == nil {
		t.Error("a state with something behind it is taken")
	}
	cfg.Identity = identity("another")
	if err := resume(whole); err == nil {
		t.Error("the state of another supernode is taken")
	}
	cfg.Identity = identity("supernode")
	binary.BigEndian.PutUint32(whole, stateVersion+1)
	if err := resume(whole); err == nil {
		t.Error("the state of another version is taken")
	}
}

// TestHandOverStored hands over what has not been written: the successor writes it once
// the predecessor has let go of the directory.
func TestHandOverStored(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, Config{StateDir: dir})
	c := testCommunity("c", "k")
	a := r.edge(c, "a", 1).join()
	was := r
	released := make(chan struct{})
	var s *Server
	err := r.s.HandOver(func(state []byte) (err error) {
		s, err = Resume(Config{StateDir: dir, Conn: newRecorder(), Now: func() time.Time { return r.now }}, state, released)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var writer sync.WaitGroup
	writer.Go(func() { s.store.run(done) })
	was.s.store.close() // without writing: it was killed
	close(released)
	close(done)
	writer.Wait()
	again := newRig(t, Config{StateDir: dir})
	if ack, _ := again.s.registry.byHandle[a.ack.Handle], 0; ack == nil || ack.lease != a.ack.Lease {
		t.Errorf("stored: %+v", ack)
	}
}

// sharedQueue is the network of several supernodes in turn, which read one queue, as processes do
// that share a socket.
type sharedQueue struct {
	mu      sync.Mutex
	queue   []sent
	changed chan struct{} // closed and replaced when the queue has grown
	out     chan sent
}

func newSharedQueue() *sharedQueue {
	return &sharedQueue{changed: make(chan struct{}), out: make(chan sent, 4096)}
}

// put adds a datagram to the queue.
func (l *sharedQueue) put(from netip.AddrPort, pkt []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.queue = append(l.queue, sent{to: from, pkt: pkt})
	close(l.changed)
	l.changed = make(chan struct{})
}

// socket is one supernode's end of a sharedQueue.
type socket struct {
	*sharedQueue
	closed chan struct{}
	once   sync.Once
}

func (l *sharedQueue) socket() *socket { return &socket{sharedQueue: l, closed: make(chan struct{})} }

func (s *socket) ReadBatch(ds []transport.Datagram) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(ds), len(s.queue))
	for i, d := range s.queue[:n] {
		ds[i].N, ds[i].Addr, ds[i].Seg = copy(ds[i].Buf, d.pkt), d.to, 0
	}
	s.queue = s.queue[n:]
	return n, nil
}

func (s *socket) Wait() error {
	s.mu.Lock()
	waiting, changed := len(s.queue), s.changed
	s.mu.Unlock()
	if waiting > 0 {
		return nil
	}
	select {
	case <-changed:
		return nil
	case <-s.closed:
		return net.ErrClosed
	}
}

func (s *socket) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		for pkt := range packets(&ds[i]) {
			s.out <- sent{to: ds[i].Addr, pkt: bytes.Clone(pkt)}
		}
	}
	return len(ds), nil
}

func (s *socket) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:7654") }

func (s *socket) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// TestHandOverUnderLoad relays 10 000 packets, 2000 a second, over 20 hand-overs, half of
// which fail. Every packet arrives once.
func TestHandOverUnderLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const count = 10_000
		l := newSharedQueue()
		cfg := Config{Conn: l.socket(), Identity: identity("supernode")}
		s, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		var ended sync.WaitGroup
		serve := func(s *Server) {
			ended.Go(func() {
				if err := s.Run(ctx); err != nil {
					t.Error(err)
				}
			})
		}
		serve(s)
		r := &rig{t: t, s: s, now: time.Now()}
		exchange := func(e *fakeEdge, pkt []byte) []sent {
			l.put(e.addr, pkt)
			synctest.Wait()
			var got []sent
			for len(l.out) > 0 {
				got = append(got, <-l.out)
			}
			return got
		}
		c := testCommunity("c", "k")
		a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
		for _, e := range []*fakeEdge{a, b} {
			i, pkt := e.initiate(nil)
			if got := exchange(e, pkt); len(got) != 1 || !e.finish(i, got[0].pkt) {
				t.Fatal("no session")
			}
			for _, m := range e.open(exchange(e, e.seal(e.request()))) {
				if m.typ == protocol.MsgAck {
					e.ack, _ = protocol.ParseAck(m.value)
				}
			}
		}

		arrived := 0
		var receiver sync.WaitGroup
		stop := make(chan struct{})
		receiver.Go(func() {
			for {
				select {
				case d := <-l.out:
					_, got := b.unwrap([]sent{d})
					arrived += len(got)
				case <-stop:
					return
				}
			}
		})
		var sending sync.Mutex
		left := count
		send := func(n int) bool {
			sending.Lock()
			defer sending.Unlock()
			for ; n > 0 && left > 0; n-- {
				left--
				l.put(a.addr, a.wrap(b.ack.Handle, 0, junk(60)))
			}
			return left > 0
		}
		var sender sync.WaitGroup
		sender.Go(func() {
			for send(1) {
				time.Sleep(500 * time.Microsecond)
			}
		})
		draw := rand.New(rand.NewPCG(3, 4))
		for i := range 20 {
			time.Sleep(time.Duration(draw.IntN(450)) * time.Millisecond)
			var next *Server
			cfg.Conn = l.socket()
			err := s.HandOver(func(state []byte) (err error) {
				send(draw.IntN(200)) // what a tenth of a second brings: no time passes here
				if i%2 == 1 {
					return errSuccessor
				}
				next, err = Resume(cfg, state, nil)
				return err
			})
			if (i%2 == 1) != errors.Is(err, errSuccessor) {
				t.Fatal(err)
			}
			if err == nil {
				s = next
				serve(s)
			}
		}
		sender.Wait()
		time.Sleep(time.Second)
		close(stop)
		receiver.Wait()
		cancel()
		ended.Wait()
		if arrived != count {
			t.Errorf("%d of %d packets arrived: %v", arrived, count, s.refused.drops.nonzero())
		}
	})
}
