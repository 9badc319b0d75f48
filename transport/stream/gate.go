package stream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// gate counts connections and refuses those over the ceilings: the newest, since
// the others may be edges.
type gate struct {
	most, perSource int
	refused         atomic.Uint64

	mu      sync.Mutex
	all     int
	sources map[netip.Prefix]int
}

func newGate(most, perSource int) gate {
	return gate{most: most, perSource: perSource, sources: make(map[netip.Prefix]int)}
}

// sourceOf returns the address of a connection's other end; that of one which is
// not of IP is the zero Addr.
func sourceOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// network returns the prefix that the connections of a source are counted under:
// its IPv4 address or its IPv6 /64, which one site has at least. counted is
// false for sources that have no ceiling of their own.
func network(source netip.Addr) (p netip.Prefix, counted bool) {
	if !source.IsValid() || source.IsLoopback() || source.IsPrivate() || source.IsLinkLocalUnicast() {
		return netip.Prefix{}, false
	}
	bits := 64
	if source.Is4() {
		bits = 32
	}
	p, err := source.Prefix(bits)
	return p, err == nil
}

// enter counts a connection from a source, unless a ceiling is reached.
func (g *gate) enter(source netip.Addr) bool {
	p, counted := network(source)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.all >= g.most || counted && g.sources[p] >= g.perSource {
		g.refused.Add(1)
		return false
	}
	g.all++
	if counted {
		g.sources[p]++
	}
	return true
}

// leave no longer counts the connection.
func (g *gate) leave(source netip.Addr) {
	p, counted := network(source)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.all--
	if !counted {
		return
	}
	if g.sources[p]--; g.sources[p] == 0 {
		delete(g.sources, p)
	}
}

// gatedListener is a listener behind a gate.
type gatedListener struct {
	net.Listener
	gate *gate
}

// Accept returns the next connection that the gate lets in.
func (l *gatedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		source := sourceOf(conn.RemoteAddr())
		if !l.gate.enter(source) {
			_ = conn.Close()
			continue
		}
		return &gatedConn{
			Conn: conn, limit: time.Now().Add(openTime),
			leave: sync.OnceFunc(func() { l.gate.leave(source) }),
		}, nil
	}
}

// gatedConn is a connection that is counted until it is closed. Until passed was
// called, none of its deadlines is later than limit: net/http gives each of its
// steps a time of its own, and a slow stranger would have their sum.
type gatedConn struct {
	net.Conn
	leave  func()
	limit  time.Time
	passed atomic.Bool
}

// SetReadDeadline sets the deadline, or an earlier one.
func (c *gatedConn) SetReadDeadline(t time.Time) error {
	if !c.passed.Load() && (t.IsZero() || t.After(c.limit)) {
		t = c.limit
	}
	return c.Conn.SetReadDeadline(t)
}

// Close closes the connection, which is no longer counted.
func (c *gatedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}

// passed ends the limit of a connection that has asked for a stream.
func passed(conn *tls.Conn) {
	if c, ok := conn.NetConn().(*gatedConn); ok {
		c.passed.Store(true)
	}
}
