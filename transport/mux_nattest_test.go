package transport_test

import (
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/waiter"
	"hedgerow/nat/nattest"
	"hedgerow/transport"
)

// TestMuxOverSimulatedSocket has both sources wake a reader, by its own Wait and by
// a waiter of the caller's, at their exact times.
func TestMuxOverSimulatedSocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		internet := nattest.New(1)
		defer internet.Close()
		here, there := internet.Host(netip.MustParseAddr("192.0.2.1")), internet.Host(netip.MustParseAddr("192.0.2.2"))
		socket, err := here.Listen(7654)
		if err != nil {
			t.Fatal(err)
		}
		far, err := there.Listen(7654)
		if err != nil {
			t.Fatal(err)
		}
		sides := transport.NewSides()
		m, err := sides.Reader(socket, false)
		if err != nil {
			t.Fatal(err)
		}
		side := sides.Add(func([]byte) {})
		own := waiter.NewChannels(socket.Ready(), m.SideReady())
		ds := []transport.Datagram{{Buf: make([]byte, 2048)}, {Buf: make([]byte, 2048)}}
		for i, wait := range []func() error{m.Wait, own.Wait} {
			for _, want := range []netip.AddrPort{side, far.LocalAddr()} {
				start := time.Now()
				time.AfterFunc(time.Minute, func() {
					if want == side {
						sides.Deliver(side, []byte("x"))
						return
					}
					_, _ = far.WriteBatch([]transport.Datagram{{Buf: []byte("x"), N: 1, Addr: socket.LocalAddr()}})
				})
				for n := 0; n == 0; {
					if err := wait(); err != nil {
						t.Fatal(err)
					}
					if n, err = m.ReadBatch(ds); err != nil {
						t.Fatal(err)
					}
				}
				if d := time.Since(start); ds[0].Addr != want || d < time.Minute || d > time.Minute+time.Second {
					t.Errorf("wait %d: from %v after %v, want %v", i, ds[0].Addr, d, want)
				}
			}
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Wait(); err != net.ErrClosed {
			t.Error(err)
		}
	})
}
