package transport

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"
)

func TestBothFamilies(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		for _, tt := range []struct{ to, from string }{
			{"127.0.0.1", "127.0.0.1"},
			{"::ffff:127.0.0.1", "127.0.0.1"},
			{"::1", "::1"},
		} {
			t.Run(tt.to, func(t *testing.T) {
				a, b := open(t), open(t)
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
	})
}

func TestEmptyDatagram(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		a, b := open(t), open(t)
		if n, err := a.WriteBatch([]Datagram{{Addr: at(t, b, "127.0.0.1")}}); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if d := read(t, b); d.N != 0 {
			t.Errorf("%d bytes", d.N)
		}
	})
}

func TestTrain(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		a, b := open(t), open(t)
		d := Datagram{Buf: []byte("aaaabbbbcc..."), N: 10, Seg: 4, Addr: at(t, b, "127.0.0.1")}
		if n, err := a.WriteBatch([]Datagram{d}); n != 1 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		if got := readPayloads(t, b, 3); !slices.Equal(got, []string{"aaaa", "bbbb", "cc"}) {
			t.Errorf("got %q", got)
		}
		if sent, got := a.Counters(), b.Counters(); sent.DatagramsOut != 3 || got.Datagrams != 3 {
			t.Errorf("sent %+v, received %+v", sent, got)
		}
	})
}

func TestRefusalsDoNotStopTheBatch(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		a, b := open(t), open(t)
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
	})
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

func TestClose(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		u := open(t)
		got := make(chan error, 2)
		for range cap(got) {
			go func() { got <- u.Wait() }()
		}
		if err := u.Close(); err != nil {
			t.Fatal(err)
		}
		for range cap(got) {
			select {
			case err := <-got:
				if err != net.ErrClosed {
					t.Errorf("Wait: %v", err)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("Wait still waits")
			}
		}
		if err := u.Wait(); err != net.ErrClosed {
			t.Errorf("Wait: %v", err)
		}
		if _, err := u.ReadBatch(buffers(1)); err != net.ErrClosed {
			t.Errorf("ReadBatch: %v", err)
		}
		if _, err := u.WriteBatch([]Datagram{datagram(netip.MustParseAddrPort("127.0.0.1:9"), "x")}); err != net.ErrClosed {
			t.Errorf("WriteBatch: %v", err)
		}
		if err := u.Close(); err != net.ErrClosed {
			t.Errorf("second Close: %v", err)
		}
	})
}

// TestCloseAtAnyTime closes sockets that others use.
func TestCloseAtAnyTime(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		for range 20 {
			u := open(t)
			to := at(t, u, "127.0.0.1")
			var ready, all sync.WaitGroup
			for _, use := range []func() error{
				func() error { _, err := u.WriteBatch([]Datagram{datagram(to, "x"), datagram(to, "y")}); return err },
				func() error { _, err := u.ReadBatch(buffers(2)); return err },
				u.Wait,
			} {
				ready.Add(1)
				all.Go(func() {
					err := use()
					ready.Done()
					for err == nil {
						err = use()
					}
					if err != net.ErrClosed {
						t.Error(err)
					}
				})
			}
			ready.Wait()
			if err := u.Close(); err != nil {
				t.Error(err)
			}
			all.Wait()
		}
	})
}

func TestNothingWaits(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		if n, err := open(t).ReadBatch(buffers(3)); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// TestLongDatagramIsCut checks what is said of Datagram.Buf.
func TestLongDatagramIsCut(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		a, b := open(t), open(t)
		if n, err := a.WriteBatch([]Datagram{datagram(at(t, b, "127.0.0.1"), "too long")}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		ds := readInto(t, b, []Datagram{{Buf: make([]byte, 3)}, {}})
		if len(ds) != 1 || string(ds[0].Payload()) != "too" {
			t.Errorf("%d: %q", len(ds), ds[0].Payload())
		}
	})
}

func TestEmptyBatch(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		u := open(t)
		if n, err := u.ReadBatch(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if n, err := u.WriteBatch(nil); n != 0 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

func TestLocalAddr(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		u := open(t)
		a := u.LocalAddr()
		if a.Port() == 0 || !a.Addr().IsUnspecified() {
			t.Errorf("%v", a)
		}
	})
}

func TestPortInUse(t *testing.T) {
	u := listen(t, Options{})
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
