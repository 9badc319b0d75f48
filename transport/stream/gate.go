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

// gate counts connections, all and by the networks that they come from, those with a
// registered edge apart: an office has many of these, and its next one comes as a
// stranger. One over the ceiling of its networks is refused; others of them may be
// edges. When all places are taken, the oldest stranger makes room, of the network that
// has most such, and without strangers an edge of a network that has more of them than
// it might have strangers.
type gate struct {
	most, perSource    int
	refused, displaced atomic.Uint64

	mu               sync.Mutex
	all              int
	strangers, edges gated
}

// gated are the connections of one kind.
type gated struct {
	most  int // of an IPv4 address or IPv6 /64
	of    map[network.Key]int
	crowd *network.Crowd[*gatedConn]
}

func newGated(most int) gated {
	return gated{most: most, of: make(map[network.Key]int), crowd: network.NewCrowd[*gatedConn]()}
}

// edgesShare is how many times as many connections with a registered edge a source may
// have as without.
const edgesShare = 32

func newGate(most, perSource int) gate {
	return gate{most: most, perSource: perSource, strangers: newGated(perSource), edges: newGated(perSource * edgesShare)}
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
	if !g.strangers.fits(c.source) {
		g.refused.Add(1)
		return nil, false
	}
	if g.all >= g.most {
		if displaced = g.yielding(); displaced == nil {
			g.refused.Add(1)
			return nil, false
		}
		g.displaced.Add(1)
		g.forget(displaced)
	}
	g.all++
	g.strangers.add(c)
	return displaced, true
}

// yielding returns who makes room for a newcomer, or nil.
func (g *gate) yielding() *gatedConn {
	if place := g.strangers.crowd.Yielding(); place != nil {
		return place.Value
	}
	place := g.edges.crowd.Yielding()
	if place == nil || g.edges.of[network.Of(place.Value.source)[0]] <= g.perSource {
		return nil
	}
	return place.Value
}

// keep notes that a registered edge is at the other end: its connection makes room for
// no stranger's, and is counted apart from theirs, unless its networks have as many
// edges as they may.
func (g *gate) keep(c *gatedConn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if c.in == &g.strangers && g.edges.fits(c.source) {
		g.strangers.remove(c)
		g.edges.add(c)
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
	if c.in != nil { // it was not forgotten before
		c.in.remove(c)
		g.all--
	}
}

// fits reports whether none of a source's networks has as many connections as it may.
func (g *gated) fits(source netip.Addr) bool {
	if !counted(source) {
		return true
	}
	for i, n := range network.Of(source) {
		if g.of[n] >= g.most*wider[i] {
			return false
		}
	}
	return true
}

// add counts a connection.
func (g *gated) add(c *gatedConn) {
	c.in, c.place = g, g.crowd.Add(c.source, c)
	for _, key := range network.Of(c.source) {
		g.of[key]++
	}
}

// remove no longer counts a connection.
func (g *gated) remove(c *gatedConn) {
	g.crowd.Remove(c.place)
	c.in, c.place = nil, nil
	for _, key := range network.Of(c.source) {
		if g.of[key]--; g.of[key] == 0 {
			delete(g.of, key)
		}
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
	in     *gated                     // guarded by gate.mu; nil: it is not counted
	place  *network.Place[*gatedConn] // in it
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
