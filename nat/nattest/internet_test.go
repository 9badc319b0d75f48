package nattest

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/transport"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func at(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// listen opens a port and fails the test when it cannot.
func listen(t testing.TB, h *Host, port uint16) *Conn {
	t.Helper()
	c, err := h.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func send(t testing.TB, c *Conn, to netip.AddrPort, text string) {
	t.Helper()
	sendTTL(t, c, to, text, 0)
}

func sendTTL(t testing.TB, c *Conn, to netip.AddrPort, text string, ttl uint8) {
	t.Helper()
	ds := []transport.Datagram{{Buf: []byte(text), N: len(text), Addr: to, TTL: ttl}}
	if n, err := c.WriteBatch(ds); n != 1 || err != nil {
		t.Fatalf("send to %v: %d %v", to, n, err)
	}
}

// settle lets everything that is in flight arrive.
func settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

// got returns what waits at c without blocking: "text from address".
func got(t testing.TB, c *Conn) (text string, from netip.AddrPort) {
	t.Helper()
	ds := []transport.Datagram{{Buf: make([]byte, maxPayload)}}
	n, err := c.ReadBatch(ds)
	if err != nil {
		t.Fatal(err)
	}
	if n == 0 {
		return "", netip.AddrPort{}
	}
	return string(ds[0].Payload()), ds[0].Addr
}

// readBatch waits for datagrams and reads what is there.
func readBatch(c *Conn, ds []transport.Datagram) (int, error) {
	if err := c.Wait(); err != nil {
		return 0, err
	}
	return c.ReadBatch(ds)
}

// seen sends a datagram from c to each server and returns the source that it
// has there.
func seen(t testing.TB, c *Conn, server *Conn) netip.AddrPort {
	t.Helper()
	send(t, c, server.LocalAddr(), "who am I")
	settle()
	text, from := got(t, server)
	if text != "who am I" {
		t.Fatalf("server got %q", text)
	}
	return from
}

func run(t *testing.T, f func(t *testing.T, n *Internet)) {
	synctest.Test(t, func(t *testing.T) {
		n := New(1)
		defer n.Close()
		f(t, n)
	})
}

func TestDelayOrderAndBatch(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		a := listen(t, n.Host(addr("198.51.100.1")), 1000)
		b := listen(t, n.Host(addr("198.51.100.2")), 2000)
		start := time.Now()
		train := []byte("onetwosix!")
		if sent, err := a.WriteBatch([]transport.Datagram{{Buf: train, N: 10, Seg: 3, Addr: b.LocalAddr()}}); sent != 1 || err != nil {
			t.Fatal(sent, err)
		}
		ds := make([]transport.Datagram, 8)
		for i := range ds {
			ds[i].Buf = make([]byte, 16)
		}
		count, err := readBatch(b, ds)
		if err != nil || count != 4 || time.Since(start) != 5*time.Millisecond {
			t.Fatal(count, err, time.Since(start))
		}
		for i, want := range []string{"one", "two", "six", "!"} {
			if string(ds[i].Payload()) != want || ds[i].Addr != a.LocalAddr() {
				t.Errorf("%d: %q from %v", i, ds[i].Payload(), ds[i].Addr)
			}
		}
		n.SetDelay(80 * time.Millisecond)
		send(t, a, b.LocalAddr(), "slow")
		n.SetDelay(time.Millisecond)
		send(t, a, b.LocalAddr(), "fast")
		for _, want := range []string{"fast", "slow"} {
			if _, err := readBatch(b, ds); err != nil || string(ds[0].Payload()) != want {
				t.Errorf("%q, %v; want %q", ds[0].Payload(), err, want)
			}
		}
		if d := time.Since(start); d != 85*time.Millisecond {
			t.Errorf("all there after %v", d)
		}
	})
}

func TestErrorsAndClose(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		h := n.Host(addr("198.51.100.1"))
		a := listen(t, h, 1000)
		if _, err := h.Listen(1000); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("port in use: %v", err)
		}
		batch := []transport.Datagram{
			{Buf: []byte("x"), N: 1, Addr: at("[2001:db8::1]:5000")},
			{Buf: []byte("x"), N: 1, Addr: at("[::ffff:198.51.100.1]:1000")},
			{Buf: make([]byte, 4096), N: 4096, Addr: at("198.51.100.1:1000")},
			{Buf: []byte("x"), N: 1},
		}
		sent, err := a.WriteBatch(batch)
		var failed *transport.WriteError
		if sent != 1 || !errors.As(err, &failed) || failed.Index != 0 || len(failed.Others) != 2 ||
			!errors.Is(failed, syscall.ENETUNREACH) || failed.Others[0].Err != syscall.EMSGSIZE || failed.Others[1].Err != syscall.EINVAL {
			t.Errorf("%d %v", sent, err)
		}
		settle()
		if text, _ := got(t, a); text != "x" {
			t.Errorf("the good one of the batch: %q", text)
		}
		done := make(chan error)
		for range 2 {
			go func() {
				done <- a.Wait()
			}()
		}
		synctest.Wait()
		if err := a.Close(); err != nil {
			t.Error(err)
		}
		for range 2 {
			if err := <-done; !errors.Is(err, net.ErrClosed) {
				t.Errorf("blocked waiter: %v", err)
			}
		}
		if err := a.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
		if err := a.Wait(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("wait after close: %v", err)
		}
		if _, err := a.ReadBatch(batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after close: %v", err)
		}
		if _, err := a.WriteBatch(batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("write after close: %v", err)
		}
		b := listen(t, h, 1000)
		n.Close()
		if _, err := b.ReadBatch(batch); !errors.Is(err, net.ErrClosed) {
			t.Errorf("read after the internet's close: %v", err)
		}
		if _, err := h.Listen(1); !errors.Is(err, net.ErrClosed) {
			t.Errorf("listen after the internet's close: %v", err)
		}
	})
}

func TestWires(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		a := listen(t, n.Host(addr("198.51.100.1"), addr("2001:db8::1")), 1000)
		b := listen(t, n.Host(addr("198.51.100.2"), addr("2001:db8::2")), 2000)
		taps := 0
		n.Tap(func(from, to netip.AddrPort, p []byte) { taps++ })
		try := func(what string, to netip.AddrPort, size int, ttl uint8, want bool) {
			t.Helper()
			sendTTL(t, a, to, string(make([]byte, size)), ttl)
			settle()
			if _, from := got(t, b); from.IsValid() != want {
				t.Errorf("%s: arrived %v, want %v", what, !want, want)
			}
		}
		v6 := at("[2001:db8::2]:2000")
		try("plain", b.LocalAddr(), 100, 0, true)
		try("IPv6", v6, 100, 0, true)
		try("closed port", at("198.51.100.2:2001"), 100, 0, false)
		try("nobody", at("198.51.100.3:2000"), 100, 0, false)
		try("hops 2", b.LocalAddr(), 100, 2, false)
		try("hops 5", b.LocalAddr(), 100, 5, false)
		try("hops 9", b.LocalAddr(), 100, 9, true)
		try("hops 2 over IPv6", v6, 100, 2, false)
		try("hops 9 over IPv6", v6, 100, 9, true)
		n.SetMTU(1400)
		try("fits", b.LocalAddr(), 1372, 0, true)
		try("too big", b.LocalAddr(), 1373, 0, false)
		try("fits IPv6", v6, 1352, 0, true)
		try("too big for IPv6", v6, 1353, 0, false)
		n.SetMTU(0)
		n.SetDrop(func(from, to netip.AddrPort, p []byte) bool { return to == b.LocalAddr() })
		try("black hole", b.LocalAddr(), 100, 0, false)
		try("beside it", v6, 100, 0, true)
		n.SetDrop(nil)
		if taps != 14 { // all but the one to nobody
			t.Errorf("%d tapped", taps)
		}
		n.SetLoss(0.2)
		arrived := 0
		for range 1000 {
			send(t, a, b.LocalAddr(), "x")
			time.Sleep(6 * time.Millisecond)
			if text, _ := got(t, b); text != "" {
				arrived++
			}
		}
		if arrived < 750 || arrived > 850 {
			t.Errorf("%d of 1000 arrived at 20 %% loss", arrived)
		}
	})
}

// TestPathMTU checks that a limit between two addresses holds both ways, for
// them only, and may change at any time.
func TestPathMTU(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		home := n.Router(addr("203.0.113.1"), FullCone)
		a := listen(t, home.Host(addr("192.168.1.2")), 5000)
		b := listen(t, n.Host(addr("198.51.100.2")), 1000)
		c := listen(t, n.Host(addr("198.51.100.3")), 1000)
		outside := seen(t, a, b)
		for _, limit := range []int{0, 1300, 1400, 0} {
			n.SetPathMTU(addr("203.0.113.1"), addr("198.51.100.2"), limit)
			for _, size := range []int{1300, 1301, 1400, 1401, 1500} {
				payload := strings.Repeat("x", size-28)
				for _, way := range []struct {
					from, to *Conn
					at       netip.AddrPort
					limited  bool
				}{{a, b, b.LocalAddr(), true}, {b, a, outside, true}, {a, c, c.LocalAddr(), false}, {c, b, b.LocalAddr(), false}} {
					send(t, way.from, way.at, payload)
					settle()
					fits := !way.limited || limit == 0 || size <= limit
					if text, _ := got(t, way.to); (text != "") != fits {
						t.Errorf("limit %d: %d bytes to %v arrive: %v", limit, size, way.at, text != "")
					}
				}
			}
		}
	})
}

// TestReady checks that the token is there exactly while something waits and
// nobody was told.
func TestReady(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		a := listen(t, n.Host(addr("198.51.100.1")), 1000)
		b := listen(t, n.Host(addr("198.51.100.2")), 2000)
		one := []transport.Datagram{{Buf: make([]byte, 16)}}
		check := func(when string, want int) {
			t.Helper()
			if len(b.Ready()) != want {
				t.Errorf("%s: %d tokens, want %d", when, len(b.Ready()), want)
			}
		}
		check("at first", 0)
		if n, err := b.ReadBatch(one); n != 0 || err != nil {
			t.Errorf("nothing to read: %d, %v", n, err)
		}
		send(t, a, b.LocalAddr(), "one")
		send(t, a, b.LocalAddr(), "two")
		settle()
		check("with two waiting", 1)
		<-b.Ready()
		for i, want := range []int{1, 0} {
			if n, err := b.ReadBatch(one); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			check([]string{"one left", "none left"}[i], want)
		}
		b.Close()
		for range 2 {
			<-b.Ready()
		}
	})
}

func TestSlowReaderLosesTheNewest(t *testing.T) {
	run(t, func(t *testing.T, n *Internet) {
		h := n.Host(addr("198.51.100.1"))
		a, b := listen(t, h, 1000), listen(t, h, 2000)
		for round := range 3 {
			for range queueLen + 10 {
				send(t, a, b.LocalAddr(), "x")
			}
			settle()
			ds := make([]transport.Datagram, queueLen/2)
			for i := range ds {
				ds[i].Buf = make([]byte, 4)
			}
			if n, err := b.ReadBatch(ds); n != len(ds) || err != nil {
				t.Fatalf("round %d: %d %v", round, n, err)
			}
		}
		if waiting := len(b.queued) - b.first; waiting != queueLen/2 {
			t.Errorf("%d waiting", waiting)
		}
		if c := cap(b.queued); c > 4*queueLen {
			t.Errorf("queue grew to %d", c)
		}
	})
}

// BenchmarkDatagram is one datagram from behind one NAT to behind another,
// with the wake-up of a reading goroutine.
func BenchmarkDatagram(b *testing.B) {
	// A benchmark has no bubble: real time, but with no delay.
	n := New(1)
	defer n.Close()
	n.SetDelay(0)
	left := listen(b, n.Router(addr("203.0.113.1"), PortRestricted).Host(addr("192.168.1.2")), 5000)
	right := listen(b, n.Router(addr("203.0.113.2"), PortRestricted).Host(addr("192.168.1.2")), 6000)
	send(b, right, at("203.0.113.1:5000"), "open")
	send(b, left, at("203.0.113.2:6000"), "open")
	payload := make([]byte, 1400)
	out := []transport.Datagram{{Buf: payload, N: len(payload), Addr: at("203.0.113.2:6000")}}
	in := []transport.Datagram{{Buf: make([]byte, 2048)}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := left.WriteBatch(out); err != nil {
			b.Fatal(err)
		}
		if _, err := readBatch(right, in); err != nil {
			b.Fatal(err)
		}
	}
}

// The cost under synctest, as the soak tests pay it.
func TestCostPerDatagram(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	began := time.Now()
	const count = 200_000
	run(t, func(t *testing.T, n *Internet) {
		left := listen(t, n.Router(addr("203.0.113.1"), PortRestricted).Host(addr("192.168.1.2")), 5000)
		right := listen(t, n.Router(addr("203.0.113.2"), PortRestricted).Host(addr("192.168.1.2")), 6000)
		var received atomic.Int64
		go func() {
			in := []transport.Datagram{{Buf: make([]byte, 2048)}}
			for {
				if _, err := readBatch(right, in); err != nil {
					return
				}
				received.Add(1)
			}
		}()
		send(t, right, at("203.0.113.1:5000"), "open")
		out := []transport.Datagram{{Buf: make([]byte, 1400), N: 1400, Addr: at("203.0.113.2:6000")}}
		for range count {
			if _, err := left.WriteBatch(out); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond)
		}
		settle()
		if received.Load() != count {
			t.Errorf("%d of %d", received.Load(), count)
		}
	})
	t.Logf("%v for each of %d datagrams on %d processors", time.Since(began)/count, count, runtime.GOMAXPROCS(0))
}
