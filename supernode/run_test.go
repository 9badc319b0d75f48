package supernode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/journal"
	"hedgerow/transport"
)

// pipe is a socket in memory whose other end is the test.
type pipe struct {
	in     chan sent // datagrams for the supernode, with their source
	next   *sent     // what Wait saw
	out    chan sent
	closed chan struct{}
	once   sync.Once
}

func newPipe() *pipe {
	return &pipe{in: make(chan sent, 1024), out: make(chan sent, 1024), closed: make(chan struct{})}
}

func (p *pipe) ReadBatch(ds []transport.Datagram) (int, error) {
	if p.next == nil {
		return 0, nil
	}
	d := p.next
	p.next = nil
	ds[0].N, ds[0].Addr, ds[0].Seg = copy(ds[0].Buf, d.pkt), d.to, 0
	return 1, nil
}

func (p *pipe) Wait() error {
	select {
	case d := <-p.in:
		p.next = &d
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}

func (p *pipe) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		for pkt := range packets(&ds[i]) {
			select {
			case p.out <- sent{to: ds[i].Addr, pkt: bytes.Clone(pkt)}:
			case <-p.closed:
				return i, net.ErrClosed
			}
		}
	}
	return len(ds), nil
}

func (p *pipe) LocalAddr() netip.AddrPort { return netip.MustParseAddrPort("192.0.2.1:7654") }

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// running is a supernode with all its goroutines, inside a bubble.
type running struct {
	*rig
	pipe *pipe
	stop func() error
}

func run(t *testing.T, cfg Config) *running {
	t.Helper()
	return runOn(t, journal.System, cfg)
}

// runOn is run with the state directory on a disk.
func runOn(t *testing.T, disk journal.Disk, cfg Config) *running {
	t.Helper()
	p := newPipe()
	cfg.Conn = p
	if cfg.Identity == nil && cfg.StateDir == "" {
		cfg.Identity = identity("supernode")
	}
	s, err := newOn(disk, cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	return &running{
		rig: &rig{t: t, s: s, now: time.Now()}, pipe: p,
		stop: func() error { cancel(); return <-ended },
	}
}

// exchange sends a datagram and returns what came back.
func (r *running) exchange(from netip.AddrPort, pkt []byte) []sent {
	r.pipe.in <- sent{to: from, pkt: pkt}
	return r.settle()
}

// settle waits until every goroutine waits and returns what was sent.
func (r *running) settle() (got []sent) {
	synctest.Wait()
	for {
		select {
		case d := <-r.pipe.out:
			got = append(got, d)
		default:
			return got
		}
	}
}

// joinRunning is join over the pipe.
func (e *fakeEdge) joinRunning(r *running) {
	e.r.t.Helper()
	i, pkt := e.initiate(nil)
	got := r.exchange(e.addr, pkt)
	if len(got) != 1 || !e.finish(i, got[0].pkt) {
		e.r.t.Fatalf("%d answers to INIT", len(got))
	}
	for _, a := range e.open(r.exchange(e.addr, e.seal(e.request()))) {
		if a.typ == protocol.MsgAck {
			e.ack, _ = protocol.ParseAck(a.value)
		}
	}
	if e.ack.Handle == 0 {
		e.r.t.Fatal("no ACK")
	}
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{StateDir: dir})
		c := testCommunity("c", "k")
		a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
		a.joinRunning(r)
		b.joinRunning(r)
		if _, got := b.unwrap(r.exchange(a.addr, a.wrap(protocol.HandleAll, 0, junk(60)))); len(got) != 1 {
			t.Error("no flood")
		}
		if _, got := a.unwrap(r.exchange(b.addr, b.wrap(a.ack.Handle, 0, junk(60)))); len(got) != 1 {
			t.Error("no unicast")
		}
		if st := r.s.Status(); st.Edges != 2 || st.Listen != r.pipe.LocalAddr() || !st.Serving {
			t.Errorf("%+v", st)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if r.s.Status().Serving {
			t.Error("it serves after its end")
		}

		// The next one tells both of its restart, at once and 300 ms later.
		next := run(t, Config{StateDir: dir})
		for _, after := range []time.Duration{0, resetAgain} {
			time.Sleep(after)
			got := next.settle()
			if len(got) != 2 {
				t.Fatalf("after %v: %d packets", after, len(got))
			}
			for _, p := range got {
				e := a
				if p.to == b.addr {
					e = b
				}
				index, token := resetIndex(t, e, p)
				if index != e.session.RemoteIndex() || token != e.ack.ResetToken {
					t.Error("not the RESET of that session")
				}
			}
		}
		time.Sleep(time.Minute)
		if got := next.settle(); len(got) != 0 {
			t.Errorf("%d more", len(got))
		}
		before := a.ack
		a.r = next.rig
		a.stamp = 1 << 40
		a.joinRunning(next)
		if a.ack.Handle != before.Handle || a.ack.Lease != before.Lease {
			t.Errorf("was %+v, is %+v", before, a.ack)
		}
		time.Sleep(hopTime + sweepPause)
		if st := next.s.Status(); st.Edges != 0 || st.Sessions != 0 || st.Leases != 2 {
			t.Errorf("%+v", st)
		}
		time.Sleep(leaseTime)
		if st := next.s.Status(); st.Leases != 0 {
			t.Errorf("%+v", st)
		}
		if err := next.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunTellsOfRestartedEdges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{})
		c := testCommunity("c", "k")
		a, b := r.edge(c, "a", 1), r.edge(c, "b", 2)
		a.joinRunning(r)
		b.joinRunning(r)
		b.seq++
		b.joinRunning(r)
		time.Sleep(2 * pace)
		// joinRunning has taken what came at once; a second restart is seen whole.
		b.seq++
		i, pkt := b.initiate(nil)
		b.finish(i, r.exchange(b.addr, pkt)[0].pkt)
		got := r.exchange(b.addr, b.seal(b.request()))
		time.Sleep(2 * pace)
		got = append(got, r.settle()...)
		if list := peers(t, a.open(got)); len(list) != 1 || list[0].MAC != b.mac {
			t.Errorf("%+v", list)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestRunEndsWithItsSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{})
		synctest.Wait()
		_ = r.pipe.Close()
		synctest.Wait()
		if err := r.stop(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v", err)
		}
	})
}

// faulty is a socket that only fails.
type faulty struct{ *recorder }

var errFaulty = errors.New("faulty")

func (faulty) ReadBatch([]transport.Datagram) (int, error) { return 0, errFaulty }

func TestRunGivesUpOnABrokenSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := New(Config{Conn: faulty{newRecorder()}, Identity: identity("supernode")})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := s.Run(t.Context()); !errors.Is(err, errFaulty) {
			t.Errorf("%v", err)
		}
		if d := time.Since(start); d != (readFailures-1)*readPause {
			t.Errorf("after %v", d)
		}
	})
}

func TestWritesSurviveASuddenEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		r := run(t, Config{StateDir: dir})
		c := testCommunity("c", "k")
		e := r.edge(c, "e", 1)
		e.joinRunning(r)
		f := r.edge(c, "f", 2)
		f.joinRunning(r)
		if n := len(onDisk(t, dir)); n != 2 {
			t.Errorf("%d registrations on disk when both were told", n)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestStateDirectoryInUse(t *testing.T) {
	dir := t.TempDir()
	first, err := New(Config{Conn: newRecorder(), StateDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer first.store.close()
	synctest.Test(t, func(t *testing.T) {
		if _, err := New(Config{Conn: newRecorder(), StateDir: dir}); !errors.Is(err, errStoreInUse) {
			t.Errorf("%v", err)
		}
	})
}

func TestConfigFaultsAreToldTogether(t *testing.T) {
	_, err := New(Config{Pool: prefix("fd00::/64"), Limits: Limits{Edges: -1, EdgeBytes: -1}})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"socket", "identity", "pool", "ceiling", "budget"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not tell of the %s", err, want)
		}
	}
}

func TestStatus(t *testing.T) {
	r := newRig(t, Config{Version: "9.9"})
	for i, n := range []int{1, 3, 2} {
		for j := range n {
			r.edge(testCommunity(fmt.Sprint("c", i), "k"), fmt.Sprint(i, j), 10*i+j).join()
		}
	}
	r.deliver(address(1), junk(10))
	r.now = r.now.Add(90 * time.Second)
	st := r.s.Status()
	if st.Version != "9.9" || st.UptimeS != 90 || st.Edges != 6 || st.Key != KeyText(r.s.Key()) || len(st.Key) != 43 || st.Drops["short"] != 1 {
		t.Errorf("%+v", st)
	}
	for i, want := range []int{3, 2, 1} {
		if st.Communities[i].Edges != want {
			t.Errorf("number %d: %+v", i, st.Communities[i])
		}
	}
	for r := range dropReasons {
		if r.String() == "" {
			t.Errorf("reason %d has no name", r)
		}
	}
}
