package transport

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"
)

// listen opens a socket on a free port and closes it at the end of the test.
func listen(t testing.TB) *UDP {
	t.Helper()
	u, err := ListenUDP(0, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// at returns the socket's address on a loopback address.
func at(t testing.TB, u *UDP, loopback string) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddr(loopback)
	if u.only4 && addr.Unmap().Is6() {
		t.Skip("this host has no IPv6")
	}
	return netip.AddrPortFrom(addr, u.LocalAddr().Port())
}

// read reads one datagram, or fails the test after five seconds.
func read(t testing.TB, u *UDP) Datagram {
	t.Helper()
	if err := u.conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	ds := []Datagram{{Buf: make([]byte, 2048), Seg: 7, TTL: 7}, {}}
	n, err := u.ReadBatch(ds)
	if n != 1 || err != nil {
		t.Fatalf("ReadBatch: %d, %v", n, err)
	}
	return ds[0]
}

func datagram(to netip.AddrPort, payload string) Datagram {
	return Datagram{Buf: []byte(payload + "tail"), N: len(payload), Addr: to}
}

func TestBothFamilies(t *testing.T) {
	for _, tt := range []struct{ to, from string }{
		{"127.0.0.1", "127.0.0.1"},
		{"::ffff:127.0.0.1", "127.0.0.1"},
		{"::1", "::1"},
	} {
		t.Run(tt.to, func(t *testing.T) {
			a, b := listen(t), listen(t)
			ds := []Datagram{datagram(at(t, b, tt.to), "one"), datagram(at(t, b, tt.to), "two")}
			if n, err := a.WriteBatch(ds); n != 2 || err != nil {
				t.Fatalf("WriteBatch: %d, %v", n, err)
			}
			for _, want := range []string{"one", "two"} {
				d := read(t, b)
				from := netip.AddrPortFrom(netip.MustParseAddr(tt.from), a.LocalAddr().Port())
				if string(d.Payload()) != want || d.Addr != from || d.Seg != 0 || d.TTL != 0 {
					t.Errorf("got %q from %v, seg %d, ttl %d; want %q from %v", d.Payload(), d.Addr, d.Seg, d.TTL, want, from)
				}
			}
		})
	}
}

func TestEmptyDatagram(t *testing.T) {
	a, b := listen(t), listen(t)
	if n, err := a.WriteBatch([]Datagram{{Addr: at(t, b, "127.0.0.1")}}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	if d := read(t, b); d.N != 0 {
		t.Errorf("%d bytes", d.N)
	}
}

func TestTrainIsSentApart(t *testing.T) {
	a, b := listen(t), listen(t)
	d := Datagram{Buf: []byte("aaaabbbbcc..."), N: 10, Seg: 4, Addr: at(t, b, "127.0.0.1")}
	if n, err := a.WriteBatch([]Datagram{d}); n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	for _, want := range []string{"aaaa", "bbbb", "cc"} {
		if got := read(t, b); string(got.Payload()) != want {
			t.Errorf("got %q, want %q", got.Payload(), want)
		}
	}
}

func TestRefusalsDoNotStopTheBatch(t *testing.T) {
	a, b := listen(t), listen(t)
	to := at(t, b, "127.0.0.1")
	large := Datagram{Buf: make([]byte, 70000), N: 70000, Addr: to}
	ds := []Datagram{datagram(to, "one"), large, {Buf: []byte("x"), N: 1}, datagram(to, "two"), large}
	n, err := a.WriteBatch(ds)
	var refused *WriteError
	if n != 2 || !errors.As(err, &refused) {
		t.Fatalf("%d, %v", n, err)
	}
	indices := []int{refused.Index}
	for _, o := range refused.Others {
		indices = append(indices, o.Index)
	}
	if !slices.Equal(indices, []int{1, 2, 4}) {
		t.Errorf("refused %v", indices)
	}
	if !errors.Is(err, syscall.EMSGSIZE) {
		t.Errorf("the reason is %v", err)
	}
	if !errors.Is(refused.Others[0].Err, syscall.EDESTADDRREQ) {
		t.Errorf("without an address: %v", refused.Others[0].Err)
	}
	for _, want := range []string{"one", "two"} {
		if got := read(t, b); string(got.Payload()) != want {
			t.Errorf("got %q, want %q", got.Payload(), want)
		}
	}
}

func TestWriteErrorText(t *testing.T) {
	var e *WriteError
	e = e.add(3, syscall.ECONNREFUSED)
	if got := e.Error(); got != "datagram 3 of the batch: "+syscall.ECONNREFUSED.Error() {
		t.Error(got)
	}
	e = e.add(5, syscall.EMSGSIZE)
	if got := e.Error(); got != "datagram 3 of the batch and 1 more: "+syscall.ECONNREFUSED.Error() {
		t.Error(got)
	}
}

func TestCloseEndsRead(t *testing.T) {
	u := listen(t)
	got := make(chan error, 1)
	go func() {
		_, err := u.ReadBatch([]Datagram{{Buf: make([]byte, 10)}})
		got <- err
	}()
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-got:
		if err != net.ErrClosed {
			t.Errorf("ReadBatch: %v", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("ReadBatch still waits")
	}
	if _, err := u.WriteBatch([]Datagram{datagram(netip.MustParseAddrPort("127.0.0.1:9"), "x")}); err != net.ErrClosed {
		t.Errorf("WriteBatch: %v", err)
	}
	if err := u.Close(); err != net.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
}

func TestEmptyBatch(t *testing.T) {
	u := listen(t)
	if n, err := u.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	if n, err := u.WriteBatch(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
}

func TestLocalAddr(t *testing.T) {
	u := listen(t)
	a := u.LocalAddr()
	if a.Port() == 0 || !a.Addr().IsUnspecified() {
		t.Errorf("%v", a)
	}
}

func TestPortInUse(t *testing.T) {
	u := listen(t)
	port := u.LocalAddr().Port()
	second, err := ListenUDP(port, Options{})
	if err == nil {
		second.Close()
		t.Fatal("opened twice")
	}
	var e *InUseError
	if !errors.As(err, &e) || e.Port != port {
		t.Fatalf("%v", err)
	}
}

func TestInUseText(t *testing.T) {
	e := &InUseError{Port: 7654, PID: 901, Command: "supernode", Err: syscall.EADDRINUSE}
	if got := e.Error(); got != "UDP port 7654 is taken by pid 901 (supernode). Use -p 0 for any free port. [E16]" {
		t.Error(got)
	}
	e = &InUseError{Port: 7654, Err: syscall.EADDRINUSE}
	if got := e.Error(); got != "UDP port 7654 is taken by another process. Use -p 0 for any free port. [E16]" {
		t.Error(got)
	}
}

func TestAllocations(t *testing.T) {
	for _, loopback := range []string{"127.0.0.1", "::1"} {
		t.Run(loopback, func(t *testing.T) {
			a, b := listen(t), listen(t)
			out := []Datagram{{Buf: make([]byte, 1400), N: 1400, Addr: at(t, b, loopback)}}
			in := []Datagram{{Buf: make([]byte, 2048)}}
			round := func() {
				if n, err := a.WriteBatch(out); n != 1 || err != nil {
					t.Fatal(n, err)
				}
				if n, err := b.ReadBatch(in); n != 1 || err != nil {
					t.Fatal(n, err)
				}
			}
			if n := testing.AllocsPerRun(100, round); n != 0 {
				t.Errorf("%v allocations per datagram", n)
			}
			if a.ttls == nil {
				return
			}
			out[0].TTL = 9
			if n := testing.AllocsPerRun(100, round); n != 0 {
				t.Errorf("%v allocations per datagram with a TTL", n)
			}
		})
	}
}

func benchmarkUDP(b *testing.B, loopback string, batch, size int) {
	sender, receiver := listen(b), listen(b)
	out := make([]Datagram, batch)
	for i := range out {
		out[i] = Datagram{Buf: bytes.Repeat([]byte{1}, size), N: size, Addr: at(b, receiver, loopback)}
	}
	in := make([]Datagram, batch)
	for i := range in {
		in[i].Buf = make([]byte, 2048)
	}
	b.SetBytes(int64(batch * size))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sender.WriteBatch(out); err != nil {
			b.Fatal(err)
		}
		for n := 0; n < batch; {
			got, err := receiver.ReadBatch(in[:batch-n])
			if err != nil {
				b.Fatal(err)
			}
			n += got
		}
	}
}

func BenchmarkUDPv4x1(b *testing.B)     { benchmarkUDP(b, "127.0.0.1", 1, 1400) }
func BenchmarkUDPv4x32(b *testing.B)    { benchmarkUDP(b, "127.0.0.1", 32, 1400) }
func BenchmarkUDPv6x32(b *testing.B)    { benchmarkUDP(b, "::1", 32, 1400) }
func BenchmarkUDPSmallx32(b *testing.B) { benchmarkUDP(b, "127.0.0.1", 32, 64) }
