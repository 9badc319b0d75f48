package transport

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

// socket is what the sockets of all systems have.
type socket interface {
	ReadBatch(ds []Datagram) (n int, err error)
	Wait() error
	WriteBatch(ds []Datagram) (n int, err error)
	LocalAddr() netip.AddrPort
	ReadFaults() uint64
	Counters() Counters
	Close() error
}

// onBoth runs a test with this system's UDP, and with the standard library's,
// which other systems use.
func onBoth(t *testing.T, f func(t *testing.T, open func(t testing.TB) socket)) {
	t.Run("UDP", func(t *testing.T) {
		f(t, func(t testing.TB) socket { return listen(t, Options{}) })
	})
	t.Run("polled", func(t *testing.T) {
		f(t, func(t testing.TB) socket {
			t.Helper()
			u := new(polled)
			if err := u.open(0, Options{}); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { u.Close() })
			return u
		})
	})
}

// listen opens a socket on a free port and closes it at the end of the test.
func listen(t testing.TB, opts Options) *UDP {
	t.Helper()
	u, err := ListenUDP(0, opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { u.Close() })
	return u
}

// at returns the socket's address on a loopback address.
func at(t testing.TB, u socket, loopback string) netip.AddrPort {
	t.Helper()
	addr := netip.MustParseAddr(loopback)
	if u.LocalAddr().Addr().Is4() && addr.Unmap().Is6() {
		t.Skip("this host has no IPv6")
	}
	return netip.AddrPortFrom(addr, u.LocalAddr().Port())
}

// buffers returns n entries to read into, with what ReadBatch must overwrite.
func buffers(n int) []Datagram {
	ds := make([]Datagram, n)
	for i := range ds {
		ds[i] = Datagram{Buf: make([]byte, 1<<16), Seg: 7, TTL: 7}
	}
	return ds
}

// readInto waits for something and reads it; the test fails after five seconds.
func readInto(t testing.TB, u socket, ds []Datagram) []Datagram {
	t.Helper()
	late := time.AfterFunc(5*time.Second, func() { u.Close() })
	defer late.Stop()
	for {
		if err := u.Wait(); err != nil {
			t.Fatalf("Wait: %v", err)
		}
		if n, err := u.ReadBatch(ds); n > 0 || err != nil {
			if err != nil {
				t.Fatalf("ReadBatch: %d, %v", n, err)
			}
			return ds[:n]
		}
	}
}

// read reads one datagram or train.
func read(t testing.TB, u socket) Datagram {
	t.Helper()
	return readInto(t, u, buffers(1))[0]
}

// readPayloads reads n datagrams one by one, those of trains apart.
func readPayloads(t testing.TB, u socket, n int) (payloads []string) {
	t.Helper()
	for len(payloads) < n {
		for _, d := range readInto(t, u, buffers(4)) {
			seg := d.Seg
			if seg == 0 {
				seg = max(d.N, 1)
			}
			if d.N == 0 {
				payloads = append(payloads, "")
			}
			for piece := range slices.Chunk(d.Payload(), seg) {
				payloads = append(payloads, string(piece))
			}
		}
	}
	return payloads
}

func datagram(to netip.AddrPort, payload string) Datagram {
	return Datagram{Buf: []byte(payload + "tail"), N: len(payload), Addr: to}
}
