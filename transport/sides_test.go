package transport

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// outside is an address on a wire.
var outside = netip.MustParseAddrPort("192.0.2.9:7654")

// memory is a socket without a kernel: it reads what arrive was given, and notes
// each batch that is written.
type memory struct {
	ring    ring
	written []string // one entry for each WriteBatch
	refuse  map[string]error
}

func newMemory() *memory {
	m := &memory{}
	m.ring.init()
	return m
}

func (m *memory) arrive(payload string, from netip.AddrPort) { m.ring.put([]byte(payload), from) }

func (m *memory) ReadBatch(ds []Datagram) (int, error) { return m.ring.pop(ds) }
func (m *memory) Ready() <-chan struct{}               { return m.ring.wake }
func (m *memory) LocalAddr() netip.AddrPort            { return outside }

func (m *memory) Close() error {
	if !m.ring.close() {
		return net.ErrClosed
	}
	return nil
}

func (m *memory) WriteBatch(ds []Datagram) (n int, err error) {
	var all []byte
	var refused *WriteError
	for i := range ds {
		all = append(append(all, ' '), ds[i].Payload()...)
		if err := m.refuse[string(ds[i].Payload())]; err != nil {
			refused = refused.add(i, err)
		} else {
			n++
		}
	}
	m.written = append(m.written, string(all[1:]))
	if refused != nil {
		return n, refused
	}
	return n, nil
}

// sideTransport notes what it is to send.
type sideTransport struct {
	mu   sync.Mutex
	sent []string
}

func (w *sideTransport) send(pkt []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = append(w.sent, string(pkt))
}

func muxReader(t testing.TB, s *Sides, socket Batch) *MuxReader {
	t.Helper()
	m, err := s.Reader(socket, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func TestSideAddress(t *testing.T) {
	s := NewSides()
	a, b := s.Add(func([]byte) {}), s.Add(func([]byte) {})
	s.Remove(b)
	if c := s.Add(func([]byte) {}); a == b || c == b || c == a {
		t.Errorf("%v, %v and %v", a, b, c)
	}
	if got := s.Counters(); got.Open != 2 {
		t.Errorf("%+v", got)
	}
	for text, want := range map[string]bool{
		a.Addr().String(): true, "100::": true, "100::ffff:ffff:ffff:ffff": true,
		"100:0:0:1::": false, "::1": false, "1.0.0.0": false, "::ffff:1.0.0.0": false, "fe80::1%eth0": false,
	} {
		if got := IsSide(netip.MustParseAddr(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
	if p := SidePrefix(); p.String() != "100::/64" || !IsSide(p.Addr()) {
		t.Errorf("the prefix is %v", p)
	}
	if IsSide(netip.Addr{}) {
		t.Error("no address is taken for a side one")
	}
	s.Remove(outside) // no side address
	s.Remove(netip.AddrPort{})
}

func TestWriteBeforeAnySide(t *testing.T) {
	socket := newMemory()
	m := NewSides().Writer(socket)
	n, err := m.WriteBatch([]Datagram{datagram(outside, "a"), datagram(outside, "b")})
	if n != 2 || err != nil || !slices.Equal(socket.written, []string{"a b"}) {
		t.Errorf("%d, %v, %q", n, err, socket.written)
	}
}

// TestWriteRuns sends batches of several shapes: a letter in capitals is for a
// side transport, and a digit for one that has ended.
func TestWriteRuns(t *testing.T) {
	for _, tt := range []struct {
		batch   string
		runs    []string
		side    []string
		n       int
		refused []int
	}{
		{batch: "ab", runs: []string{"a b"}, n: 2},
		{batch: "AB", side: []string{"A", "B"}, n: 2},
		{batch: "abCdeF", runs: []string{"a b", "d e"}, side: []string{"C", "F"}, n: 6},
		{batch: "Abc", runs: []string{"b c"}, side: []string{"A"}, n: 3},
		{batch: "axBx", runs: []string{"a x", "x"}, side: []string{"B"}, n: 2, refused: []int{1, 3}},
		{batch: "x1x", runs: []string{"x", "x"}, refused: []int{0, 1, 2}},
		{batch: "1", refused: []int{0}},
		{batch: "xx", runs: []string{"x x"}, refused: []int{0, 1}},
	} {
		t.Run(tt.batch, func(t *testing.T) {
			s, socket, w := NewSides(), newMemory(), &sideTransport{}
			socket.refuse = map[string]error{"x": syscall.ENETUNREACH}
			live, gone := s.Add(w.send), s.Add(w.send)
			s.Remove(gone)
			var ds []Datagram
			for _, c := range tt.batch {
				to := outside
				switch {
				case c >= 'A' && c <= 'Z':
					to = live
				case c >= '0' && c <= '9':
					to = gone
				}
				ds = append(ds, datagram(to, string(c)))
			}
			n, err := s.Writer(socket).WriteBatch(ds)
			var refused []int
			var of *WriteError
			if errors.As(err, &of) {
				refused = append(refused, of.Index)
				for _, other := range of.Others {
					refused = append(refused, other.Index)
				}
			}
			if n != tt.n || !slices.Equal(socket.written, tt.runs) || !slices.Equal(w.sent, tt.side) || !slices.Equal(refused, tt.refused) {
				t.Errorf("%d sent, runs %q, side %q, refused %v (%v)", n, socket.written, w.sent, refused, err)
			}
			if tt.batch[0] == '1' && !errors.Is(err, ErrNoSide) {
				t.Error(err)
			}
		})
	}
}

func TestWriteTrain(t *testing.T) {
	s, w := NewSides(), &sideTransport{}
	to := s.Add(w.send)
	train := datagram(to, "aaabbbc")
	train.Seg = 3
	n, err := s.Writer(newMemory()).WriteBatch([]Datagram{train, datagram(to, "alone")})
	if n != 2 || err != nil || !slices.Equal(w.sent, []string{"aaa", "bbb", "c", "alone"}) || s.Counters().Sent != 4 {
		t.Errorf("%d, %v, %q", n, err, w.sent)
	}
}

func TestWriteClosed(t *testing.T) {
	s, w := NewSides(), &sideTransport{}
	to := s.Add(w.send)
	u := listen(t, Options{})
	m := s.Writer(u)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := m.WriteBatch([]Datagram{datagram(to, "a"), datagram(outside, "b"), datagram(to, "c")}); n != 1 || err != net.ErrClosed {
		t.Errorf("%d, %v", n, err)
	}
	if err := m.Close(); err != net.ErrClosed {
		t.Error(err)
	}
}

// TestReadShares has both sources full: each gets its part.
func TestReadShares(t *testing.T) {
	s, socket := NewSides(), newMemory()
	m := muxReader(t, s, socket)
	from := s.Add(func([]byte) {})
	for i := range 10 {
		socket.arrive(fmt.Sprint("s", i), outside)
		s.Deliver(from, fmt.Append(nil, "w", i))
	}
	var got []string
	for _, size := range []int{4, 1, 40} {
		ds := buffers(size)
		n, err := m.ReadBatch(ds)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ds[:n] {
			d := &ds[i]
			got = append(got, string(d.Payload()))
			if d.Seg != 0 || d.TTL != 0 || IsSide(d.Addr.Addr()) != (d.Payload()[0] == 'w') {
				t.Errorf("%+v", d)
			}
		}
	}
	want := []string{"w0", "w1", "s0", "s1", "w2", "w3", "w4", "w5", "w6", "w7", "w8", "w9", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	if n, err := m.ReadBatch(buffers(2)); n != 0 || err != nil {
		t.Error(n, err)
	}
}

// TestReadForged has a datagram of the network claim to be of a side transport, and one come
// from a port that no answer can go to.
func TestReadForged(t *testing.T) {
	s, socket := NewSides(), newMemory()
	for _, from := range []netip.AddrPort{s.Add(func([]byte) {}), netip.AddrPortFrom(outside.Addr(), 0)} {
		socket.arrive("forged", from)
		socket.arrive("true", outside)
		ds := buffers(4)
		n, err := s.Writer(socket).ReadBatch(ds)
		if n != 2 || err != nil || ds[0].N != 0 || ds[0].Addr.IsValid() || string(ds[1].Payload()) != "true" {
			t.Errorf("from %v: %d, %v: %+v", from, n, err, ds[:2])
		}
	}
}

func TestDeliverIsBounded(t *testing.T) {
	s := NewSides()
	m := muxReader(t, s, newMemory())
	from := s.Add(func([]byte) {})
	s.Deliver(from, make([]byte, MaxSidePacket+1))
	for i := range inboxLen + 5 {
		s.Deliver(from, fmt.Append(nil, i))
	}
	if got := s.Counters(); got.Dropped != 6 || got.Received != inboxLen {
		t.Errorf("%+v", got)
	}
	ds := buffers(2)
	if n, err := m.ReadBatch(ds); n != 1 || err != nil || string(ds[0].Payload()) != "0" {
		t.Error(n, err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	s.Deliver(from, []byte("late"))
	if n, err := m.ReadBatch(ds); n != 0 || err != net.ErrClosed {
		t.Error(n, err)
	}
	if got := s.Counters(); got.Dropped != 7 {
		t.Errorf("%+v", got)
	}
}

func TestOneReader(t *testing.T) {
	s := NewSides()
	muxReader(t, s, newMemory())
	defer func() {
		if recover() == nil {
			t.Error("a second reader is taken")
		}
	}()
	_, _ = s.Reader(newMemory(), false)
}

// TestReaderOfMuteSocket has a socket that nobody could wait for.
func TestReaderOfMuteSocket(t *testing.T) {
	if m, err := NewSides().Reader(struct{ Batch }{newMemory()}, false); !errors.Is(err, errors.ErrUnsupported) {
		t.Error(m, err)
	}
}

// TestWaitInBubble has each source wake the reader at its exact time, and Close.
func TestWaitInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, socket := NewSides(), newMemory()
		m := muxReader(t, s, socket)
		from := s.Add(func([]byte) {})
		ds := buffers(4)
		for i, wake := range []func(){
			func() { s.Deliver(from, []byte("w")) },
			func() { socket.arrive("s", outside) },
			func() { s.Deliver(from, []byte("w")); socket.arrive("s", outside) },
		} {
			start := time.Now()
			time.AfterFunc(time.Hour, wake)
			for n := 0; n == 0; {
				if err := m.Wait(); err != nil {
					t.Fatal(err)
				}
				var err error
				if n, err = m.ReadBatch(ds); err != nil {
					t.Fatal(err)
				}
			}
			if d := time.Since(start); d != time.Hour {
				t.Errorf("%d: woke after %v", i, d)
			}
			synctest.Wait()
			for n := 1; n > 0; { // what came in the same moment
				n, _ = m.ReadBatch(ds)
			}
		}
		done := make(chan error)
		go func() { done <- m.Wait() }()
		synctest.Wait()
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := <-done; err != net.ErrClosed {
			t.Error(err)
		}
		if err := m.Close(); err != net.ErrClosed {
			t.Error(err)
		}
	})
}

// TestSideReadyKeepsItsToken has a reader that takes less than there is.
func TestSideReadyKeepsItsToken(t *testing.T) {
	s := NewSides()
	m := muxReader(t, s, newMemory())
	from := s.Add(func([]byte) {})
	for range 3 {
		s.Deliver(from, []byte("x"))
	}
	for i, want := range []bool{true, true, true, false} {
		got := false
		select {
		case <-m.SideReady():
			got = true
		default:
		}
		if got != want {
			t.Errorf("read %d: a token: %v", i, got)
		}
		if _, err := m.ReadBatch(buffers(1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMuxAllocatesNothing(t *testing.T) {
	s := NewSides()
	u := listen(t, Options{})
	m := muxReader(t, s, u)
	received := 0
	to := s.Add(func(pkt []byte) { received += len(pkt) })
	plain := datagram(at(t, u, "127.0.0.1"), "to ourselves")
	side := datagram(to, "by the way")
	out := []Datagram{plain, side, plain, side}
	in := buffers(8)
	pkt := bytes.Repeat([]byte{1}, 1400)
	round := func() {
		if n, err := m.WriteBatch(out); n != len(out) || err != nil {
			t.Fatal(n, err)
		}
		s.Deliver(to, pkt)
		s.Deliver(to, pkt)
		for got := 0; got < 4; {
			if err := m.Wait(); err != nil {
				t.Fatal(err)
			}
			n, err := m.ReadBatch(in)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	for range inboxLen { // its buffers grow at first
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestConcurrentSides has side transports come and go while others send and deliver.
func TestConcurrentSides(t *testing.T) {
	s := NewSides()
	m := muxReader(t, s, listen(t, Options{}))
	stop := make(chan struct{})
	var group sync.WaitGroup
	for range 2 {
		group.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				w := &sideTransport{}
				a := s.Add(w.send)
				s.Deliver(a, []byte("hello"))
				if n, err := m.WriteBatch([]Datagram{datagram(a, "back")}); n != 1 || err != nil {
					t.Error(n, err)
				}
				s.Remove(a)
				if _, err := m.WriteBatch([]Datagram{datagram(a, "late")}); !errors.Is(err, ErrNoSide) {
					t.Error(err)
				}
			}
		})
	}
	ds := buffers(8)
	for got := 0; got < 1000; {
		if err := m.Wait(); err != nil {
			t.Fatal(err)
		}
		n, err := m.ReadBatch(ds)
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	close(stop)
	group.Wait()
}

// A side transport with many far ends gets each datagram with its far end, and keeps
// nothing for any: the address says all. What has no far end is lost.
func TestSideEnds(t *testing.T) {
	s := NewSides()
	m := muxReader(t, s, newMemory())
	var got []netip.AddrPort
	p := s.AddEnds(func(far netip.AddrPort, _ []byte) { got = append(got, far) })
	alone := s.Add(func([]byte) { got = append(got, netip.AddrPort{}) })
	for n := range 1000 {
		far := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 51, byte(n), 1}), uint16(1+n*65))
		side := SideOf(p, far)
		if back, ok := FarEnd(side); !ok || back != far || !IsSide(side.Addr()) || !p.Contains(side.Addr()) || p.Contains(alone.Addr()) {
			t.Fatalf("%v has the address %v, which leads to %v", far, side, back)
		}
		if _, err := m.WriteBatch([]Datagram{{Buf: []byte{1}, N: 1, Addr: side}}); err != nil || got[n] != far {
			t.Fatalf("sent to %v, not %v: %v", got[n], far, err)
		}
	}
	if c := s.Counters(); c.Open != 2 {
		t.Errorf("%d side transports", c.Open)
	}
	for _, far := range []netip.AddrPort{{}, netip.MustParseAddrPort("198.51.100.1:0"), netip.MustParseAddrPort("[2001:db8::1]:9")} {
		if a := SideOf(p, far); a.IsValid() {
			t.Errorf("%v has the address %v", far, a)
		}
	}
	for _, a := range []netip.AddrPort{alone, outside, {}} {
		if far, ok := FarEnd(a); ok {
			t.Errorf("behind %v is %v", a, far)
		}
	}
	s.Remove(netip.AddrPortFrom(p.Addr(), 0))
	if _, err := m.WriteBatch([]Datagram{{Buf: []byte{1}, N: 1, Addr: SideOf(p, outside)}}); !errors.Is(err, ErrNoSide) {
		t.Errorf("after the end: %v", err)
	}
}
