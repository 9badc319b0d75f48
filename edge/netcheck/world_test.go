package netcheck

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/nattest"
	"hedgerow/nat/portmap"
	"hedgerow/nat/stun"
	"hedgerow/transport"
)

// Where the servers of the tests are.
var (
	superAddr  = netip.MustParseAddr("203.0.113.1")
	superAddr6 = netip.MustParseAddr("2001:db8:ffff::1")
	otherAddr  = netip.MustParseAddr("203.0.113.2")
	homeAddr   = netip.MustParseAddr("198.51.100.1")
	insideAddr = netip.MustParseAddr("192.168.1.2")
)

const superPort = 7654

// world is an internet with supernodes, as far as they answer STUN.
type world struct {
	t   *testing.T
	net *nattest.Internet
	// streams is why no stream opens; nil: every one does, after 30 ms.
	streams error
	covered bool // the servers have an obfuscation key
	closed  bool // which is not known here
	router  portmap.Report
	serving sync.WaitGroup
}

// newWorld makes an internet. end ends it.
func newWorld(t *testing.T) *world { return &world{t: t, net: nattest.New(5)} }

func (w *world) end() {
	w.net.Close()
	w.serving.Wait()
}

// server adds a host that answers at two ports.
func (w *world) server(addrs ...netip.Addr) {
	h := w.net.Host(addrs...)
	var conns [2]*nattest.Conn
	for i := range conns {
		c, err := h.Listen(superPort + uint16(i))
		if err != nil {
			w.t.Fatal(err)
		}
		conns[i] = c
	}
	for i := range conns {
		w.serving.Go(func() { w.answerAt(conns[i], conns[1-i]) })
	}
}

// answerAt answers requests at a port, from the other one if that is asked for.
func (w *world) answerAt(at, other *nattest.Conn) {
	for c := (memoryConn{at}); ; {
		buf := make([]byte, readLen)
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		request := buf[:n]
		if w.covered {
			request = fakeCovers{from.Addr(): true}.Show(from, request)
		}
		r, err := stun.ParseRequest(request)
		if err != nil {
			continue
		}
		named := netip.AddrPortFrom(netip.IPv4Unspecified(), other.LocalAddr().Port())
		answer, err := stun.AppendResponse(nil, request, from, named)
		if err != nil || len(answer) > n {
			continue
		}
		if w.covered {
			answer = fakeCovers{from.Addr(): true}.HideIn(from, answer, len(answer)+CoverLen)
		}
		by := c
		if r.ChangePort {
			by = memoryConn{other}
		}
		_ = by.WriteTo(answer, from)
	}
}

// fakeCovers hide what goes to their addresses by turning every bit of it.
type fakeCovers map[netip.Addr]bool

func (c fakeCovers) Add(server netip.AddrPort) {
	fakeMu.Lock()
	defer fakeMu.Unlock()
	c[server.Addr()] = true
}

// fakeMu guards all of them.
var fakeMu sync.Mutex

func (c fakeCovers) has(a netip.AddrPort) bool {
	fakeMu.Lock()
	defer fakeMu.Unlock()
	return c[a.Addr()]
}

func (c fakeCovers) HideIn(to netip.AddrPort, request []byte, size int) []byte {
	if !c.has(to) {
		return nil
	}
	pkt := make([]byte, size)
	for i := range pkt {
		pkt[i] = 0xff
	}
	for i, b := range request {
		pkt[i] = ^b
	}
	return pkt
}

func (c fakeCovers) Show(from netip.AddrPort, pkt []byte) []byte {
	if !c.has(from) {
		return nil
	}
	for i := range pkt {
		pkt[i] = ^pkt[i]
	}
	return stun.Leading(pkt)
}

// memoryConn is a socket of the simulated internet.
type memoryConn struct{ *nattest.Conn }

func (c memoryConn) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	for {
		ds := []transport.Datagram{{Buf: b}}
		n, err := c.ReadBatch(ds)
		if n > 0 || err != nil {
			return ds[0].N, ds[0].Addr, err
		}
		if err := c.Wait(); err != nil {
			return 0, netip.AddrPort{}, err
		}
	}
}

func (c memoryConn) WriteTo(b []byte, to netip.AddrPort) error {
	_, err := c.WriteBatch([]transport.Datagram{{Buf: b, N: len(b), Addr: to}})
	return err
}

func (c memoryConn) Port() uint16 { return c.LocalAddr().Port() }

// lookup knows one name.
func lookup(_ context.Context, host string) ([]netip.Addr, error) {
	if host == "both.example" {
		return []netip.Addr{superAddr6, superAddr}, nil
	}
	return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// check runs on a host, with the servers at those addresses.
func (w *world) check(h *nattest.Host, servers ...netip.Addr) control.Netcheck {
	return w.checkUntil(w.t.Context(), h, servers...)
}

func (w *world) checkUntil(ctx context.Context, h *nattest.Host, servers ...netip.Addr) control.Netcheck {
	open := func(string) (Conn, error) {
		c, err := h.Listen(0)
		return memoryConn{c}, err
	}
	cfg := Config{Host: Host{
		Open: open, OpenWhole: open, Rand: rand.Reader,
		Lookup: lookup,
		Source: func(to netip.AddrPort) (netip.Addr, string, error) {
			for _, a := range h.Addresses() {
				if a.Is4() == to.Addr().Is4() {
					return a, "sim0", nil
				}
			}
			return netip.Addr{}, "", errors.New("no route")
		},
	}}
	for _, a := range servers {
		cfg.Supernodes = append(cfg.Supernodes, Server{Name: netip.AddrPortFrom(a, superPort).String(), Host: a.String(), Port: superPort, Obfuscated: w.covered, Closed: w.closed})
	}
	if w.covered && !w.closed {
		cfg.Covers = fakeCovers{}
	}
	cfg.Dial = func(ctx context.Context, _ Server, _ uint16) error {
		select {
		case <-time.After(30 * time.Millisecond):
			return w.streams
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	cfg.Map = func(context.Context) portmap.Report { return w.router }
	return Run(ctx, cfg)
}
