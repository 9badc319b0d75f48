package stream

import (
	"context"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"
)

// wireRoom is how many bytes a direction of a simulated connection holds before a
// write waits, as the buffers of the kernel do.
const wireRoom = 64 << 10

// direction is one of the two of a simulated TCP connection. Unlike net.Pipe it
// has a buffer, without which TLS 1.3 cannot end its handshake.
type direction struct {
	mu      sync.Mutex
	changed sync.Cond
	buf     []byte
	ended   bool // by the writer: what is there can still be read
	broken  bool // by the reader
	limits  [2]limit
}

// The two ends of a direction, each with a deadline.
const (
	reading = iota
	writing
)

// limit is a deadline.
type limit struct {
	at    time.Time
	timer *time.Timer
}

func newDirection() *direction {
	d := &direction{}
	d.changed.L = &d.mu
	return d
}

func (d *direction) setLimit(who int, at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l := &d.limits[who]
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
	l.at = at
	if wait := time.Until(at); !at.IsZero() && wait > 0 { // one that has passed wakes at once, below
		l.timer = time.AfterFunc(wait, func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.changed.Broadcast()
		})
	}
	d.changed.Broadcast()
}

// late reports whether a deadline has passed; the lock is held.
func (d *direction) late(who int) bool {
	at := d.limits[who].at
	return !at.IsZero() && !time.Now().Before(at)
}

func (d *direction) read(b []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.broken:
			return 0, net.ErrClosed
		case d.late(reading):
			return 0, os.ErrDeadlineExceeded
		case len(d.buf) > 0:
			n := copy(b, d.buf)
			d.buf = d.buf[n:]
			d.changed.Broadcast()
			return n, nil
		case d.ended:
			return 0, io.EOF
		}
		d.changed.Wait()
	}
}

func (d *direction) write(b []byte) (n int, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		switch {
		case d.ended:
			return n, net.ErrClosed
		case d.broken:
			return n, syscall.EPIPE
		case d.late(writing):
			return n, os.ErrDeadlineExceeded
		case len(b) == 0:
			return n, nil
		case len(d.buf) < wireRoom:
			more := min(len(b), wireRoom-len(d.buf))
			d.buf = append(d.buf, b[:more]...)
			n, b = n+more, b[more:]
			d.changed.Broadcast()
			continue
		}
		d.changed.Wait()
	}
}

// end ends a direction for both.
func (d *direction) end(who int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if who == writing {
		d.ended = true
	} else {
		d.broken = true
	}
	for i := range d.limits {
		if t := d.limits[i].timer; t != nil && i == who {
			t.Stop()
		}
	}
	d.changed.Broadcast()
}

// simConn is one end of a simulated TCP connection.
type simConn struct {
	in, out       *direction
	local, remote net.Addr
}

// wirePair returns the two ends of a connection between two addresses.
func wirePair(a, b netip.AddrPort) (net.Conn, net.Conn) {
	x, y := newDirection(), newDirection()
	at, bt := net.TCPAddrFromAddrPort(a), net.TCPAddrFromAddrPort(b)
	return &simConn{in: x, out: y, local: at, remote: bt}, &simConn{in: y, out: x, local: bt, remote: at}
}

func (c *simConn) Read(b []byte) (int, error)         { return c.in.read(b) }
func (c *simConn) Write(b []byte) (int, error)        { return c.out.write(b) }
func (c *simConn) LocalAddr() net.Addr                { return c.local }
func (c *simConn) RemoteAddr() net.Addr               { return c.remote }
func (c *simConn) SetReadDeadline(t time.Time) error  { c.in.setLimit(reading, t); return nil }
func (c *simConn) SetWriteDeadline(t time.Time) error { c.out.setLimit(writing, t); return nil }

func (c *simConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

func (c *simConn) Close() error {
	c.in.end(reading)
	c.out.end(writing)
	return nil
}

// simNet is a simulated network: listeners by their host and port.
type simNet struct {
	mu        sync.Mutex
	listeners map[string]*simListener
	source    netip.AddrPort // of those who dial
	dialled   []string
}

func newSimNet() *simNet {
	return &simNet{listeners: make(map[string]*simListener), source: netip.MustParseAddrPort("203.0.113.7:40000")}
}

// from returns the same network as another host sees it.
func (n *simNet) from(source string) *simNet {
	return &simNet{listeners: n.listeners, source: netip.MustParseAddrPort(source)}
}

// simListener is a listener of a simulated network.
type simListener struct {
	addr     netip.AddrPort
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

// listen listens on a literal address, or at a name with a port.
func (n *simNet) listen(address string) *simListener {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		at = netip.MustParseAddrPort("192.0.2.1:1")
	}
	l := &simListener{addr: at, accepted: make(chan net.Conn), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.listeners[address] = l
	return l
}

func (l *simListener) Addr() net.Addr { return net.TCPAddrFromAddrPort(l.addr) }

func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accepted:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *simListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// blackHole is an address that nothing comes back from.
const blackHole = "192.0.2.66"

// dial connects to a listener.
func (n *simNet) dial(ctx context.Context, _, address string) (net.Conn, error) {
	n.mu.Lock()
	n.dialled = append(n.dialled, address)
	l := n.listeners[address]
	n.mu.Unlock()
	if host, _, _ := net.SplitHostPort(address); host == blackHole {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	if l == nil {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	near, far := wirePair(n.source, l.addr)
	select {
	case l.accepted <- far:
		return near, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// script has a listener answer each connection by f, which gets it with all that
// came first, and closes it then.
func (l *simListener) script(t *testing.T, f func(conn net.Conn)) {
	t.Helper()
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				f(conn)
			})
		}
	})
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
}
