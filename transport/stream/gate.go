package stream

import (
	"crypto/tls"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/internal/network"
)

// gate counts connections, all and by the networks that they come from. One over the
// ceiling of its networks is refused; others of them may be edges. When all places are
// taken, the oldest without an edge makes room, of the network that has most such.
type gate struct {
	most, perSource    int
	refused, displaced atomic.Uint64

	mu        sync.Mutex
	all       int
	sources   map[network.Key]int
	strangers *network.Crowd[*gatedConn] // without a registered edge
}

func newGate(most, perSource int) gate {
	return gate{
		most: most, perSource: perSource, sources: make(map[network.Key]int), strangers: network.NewCrowd[*gatedConn](),
	}
}

// wider is how many times the ceiling of an IPv4 address or IPv6 /64 its networks may
// have: a /56, and a /48 or an IPv4 /24.
var wider = [network.Levels]int{1, 4, 16}

// sourceOf returns the address of a connection's other end; that of one which is
// not of IP is the zero Addr.
func sourceOf(a net.Addr) netip.Addr {
	if tcp, ok := a.(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr().Unmap().WithZone("")
	}
	return netip.Addr{}
}

// counted reports whether a source has ceilings of its own.
func counted(source netip.Addr) bool {
	return source.IsValid() && !source.IsLoopback() && !source.IsPrivate() && !source.IsLinkLocalUnicast()
}

// enter counts a connection, unless a ceiling is reached. displaced is a connection
// that had to make room for it, to be closed; nil: none had to.
func (g *gate) enter(c *gatedConn) (displaced *gatedConn, entered bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.fits(c.source) || g.all >= g.most && g.strangers.Len() == 0 {
		g.refused.Add(1)
		return nil, false
	}
	if g.all >= g.most {
		displaced = g.strangers.Yielding().Value
		g.displaced.Add(1)
		g.forget(displaced)
	}
	g.all++
	g.count(c.source, 1)
	c.place = g.strangers.Add(c.source, c)
	return displaced, true
}

// fits reports whether none of a source's networks has as many connections as it may.
func (g *gate) fits(source netip.Addr) bool {
	if !counted(source) {
		return true
	}
	for i, n := range network.Of(source) {
		if g.sources[n] >= g.perSource*wider[i] {
			return false
		}
	}
	return true
}

// count adds n to the connections of a source's networks.
func (g *gate) count(source netip.Addr, n int) {
	if !counted(source) {
		return
	}
	for _, key := range network.Of(source) {
		if g.sources[key] += n; g.sources[key] == 0 {
			delete(g.sources, key)
		}
	}
}

// keep notes that a registered edge is at the other end: its connection makes room for
// no other one.
func (g *gate) keep(c *gatedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.place != nil {
		g.strangers.Remove(c.place)
	}
}

// leave no longer counts a connection.
func (g *gate) leave(c *gatedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.forget(c)
}

// forget is leave. The caller holds g.mu.
func (g *gate) forget(c *gatedConn) {
	if c.place == nil {
		return // it was forgotten before
	}
	g.strangers.Remove(c.place)
	c.place = nil
	g.all--
	g.count(c.source, -1)
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
		c := &gatedConn{Conn: conn, gate: l.gate, source: sourceOf(conn.RemoteAddr()), limit: time.Now().Add(openTime)}
		displaced, entered := l.gate.enter(c)
		if displaced != nil {
			_ = displaced.Conn.Close()
		}
		if !entered {
			_ = conn.Close()
			continue
		}
		return c, nil
	}
}

// gatedConn is a connection that is counted until it is closed. Until pass was
// called, none of its deadlines is later than limit: net/http gives each of its
// steps a time of its own, and a slow stranger would have their sum.
type gatedConn struct {
	net.Conn
	gate   *gate
	source netip.Addr
	place  *network.Place[*gatedConn] // guarded by gate.mu; nil: it is not counted
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
	defer c.gate.leave(c)
	return c.Conn.Close()
}

// pass ends the limit of a connection that has asked for a stream.
func (c *gatedConn) pass() { c.passed.Store(true) }

// gatedOf returns the connection below the TLS of a stream: every one of a Server has
// come through its gate.
func gatedOf(conn *tls.Conn) *gatedConn { return conn.NetConn().(*gatedConn) }
