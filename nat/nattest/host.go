package nattest

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"syscall"

	"hedgerow/transport"
)

// queueLen is how many datagrams wait for a reader; more are dropped, as by a
// socket's buffer.
const queueLen = 1024

// Host is a machine with one or several addresses in one realm.
type Host struct {
	net      *Internet
	realm    *realm
	random   *rand.Rand
	addrs    atomic.Pointer[[]netip.Addr] // read without the lock, too: by those who are called under it
	ports    map[uint16]*Conn
	blocked  bool            // no UDP
	watchers []chan struct{} // that are told of other addresses
	mappers  []*Mapper       // the same
}

// Addresses returns the host's own addresses, as it would find them on its
// interfaces.
func (h *Host) Addresses() []netip.Addr { return slices.Clone(*h.addrs.Load()) }

// BlockUDP says whether the network around the host lets no UDP through: no
// datagram leaves the host or reaches it then, and the host is not told. What is
// in flight gets lost.
func (h *Host) BlockUDP(blocked bool) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	h.blocked = blocked
}

// Listen opens a UDP port on all addresses of the host; 0 takes a random free
// one. The error is EADDRINUSE when the port is taken and net.ErrClosed after
// the internet's Close.
func (h *Host) Listen(port uint16) (*Conn, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if h.net.closed {
		return nil, net.ErrClosed
	}
	for port == 0 || h.ports[port] != nil {
		if port != 0 {
			return nil, syscall.EADDRINUSE
		}
		if p := uint16(1024 + h.random.IntN(65536-1024)); h.ports[p] == nil {
			port = p
		}
	}
	c := &Conn{host: h, port: port, wake: make(chan struct{}, 1)}
	h.ports[port] = c
	h.net.conns[c] = struct{}{}
	return c, nil
}

// arrive queues p at the port that it is for.
func (h *Host) arrive(p *packet) {
	if c := h.ports[p.to.Port()]; h.blocked || c == nil || !c.queue(p) {
		h.net.release(p)
	}
}

// source returns the host's address of the family of to.
func (h *Host) source(to netip.Addr) (netip.Addr, bool) {
	for _, a := range *h.addrs.Load() {
		if a.Is4() == to.Is4() {
			return a, true
		}
	}
	return netip.Addr{}, false
}

// Conn is an open UDP port. Its methods are those of package transport's
// connections.
type Conn struct {
	host *Host
	port uint16
	// wake holds a token exactly while datagrams wait and nobody has been told,
	// and is closed by Close.
	wake   chan struct{}
	first  int // where in queued the next datagram to read is
	queued []*packet
	closed bool
}

// LocalAddr returns the port with the first address of the host, without one
// with the unspecified address.
func (c *Conn) LocalAddr() netip.AddrPort {
	if addrs := *c.host.addrs.Load(); len(addrs) > 0 {
		return netip.AddrPortFrom(addrs[0], c.port)
	}
	return netip.AddrPortFrom(netip.IPv4Unspecified(), c.port)
}

// Close closes the port. A blocked Wait returns net.ErrClosed. It returns
// net.ErrClosed when it was closed before.
func (c *Conn) Close() error {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return net.ErrClosed
	}
	c.shut()
	return nil
}

// shut closes the port; the lock is held.
func (c *Conn) shut() {
	c.closed = true
	delete(c.host.ports, c.port)
	delete(c.host.net.conns, c)
	for _, p := range c.queued[c.first:] {
		c.host.net.release(p)
	}
	c.queued, c.first = nil, 0
	close(c.wake)
}

// Wait blocks until a datagram waits to be read: nil. It returns net.ErrClosed
// after Close, also when it was blocked then.
func (c *Conn) Wait() error {
	for {
		waiting, err := c.waiting()
		if waiting || err != nil {
			return err
		}
		<-c.wake
	}
}

// waiting reports whether there is something to read.
func (c *Conn) waiting() (bool, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return false, net.ErrClosed
	}
	return len(c.queued) > c.first, nil
}

// Ready returns a channel that holds a token when there is something to read,
// for a waiter.Channels. It is closed by Close. Whoever takes the token reads
// until nothing is left.
func (c *Conn) Ready() <-chan struct{} { return c.wake }

// TellsTOS reports true: datagrams arrive with the Datagram.TOS that they have then.
func (c *Conn) TellsTOS() bool { return true }

// ReadBatch reads into ds what has arrived and returns how many datagrams that
// were: 0 when there are none, it never blocks. It returns net.ErrClosed after
// Close.
func (c *Conn) ReadBatch(ds []transport.Datagram) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	n := min(len(ds), len(c.queued)-c.first)
	for i := range n {
		p := c.queued[c.first]
		c.queued[c.first] = nil
		c.first++
		d := &ds[i]
		d.N = copy(d.Buf, p.payload())
		d.Addr, d.Local, d.Seg, d.TTL, d.TOS = p.from, netip.Addr{}, 0, 0, p.tos
		if !p.to.Addr().IsMulticast() {
			d.Local = p.to.Addr()
		}
		c.host.net.release(p)
	}
	if c.first < len(c.queued) {
		c.signal()
		return n, nil
	}
	c.queued, c.first = c.queued[:0], 0
	select {
	case <-c.wake:
	default:
	}
	return n, nil
}

// queue appends p for the reader and reports whether there was room.
func (c *Conn) queue(p *packet) bool {
	if len(c.queued)-c.first >= queueLen {
		return false
	}
	if c.first >= queueLen { // the reader never catches up: move what waits down
		c.queued = append(c.queued[:0], c.queued[c.first:]...)
		c.first = 0
	}
	c.queued = append(c.queued, p)
	c.signal()
	return true
}

// signal leaves a token unless there is one; the lock is held.
func (c *Conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// WriteBatch sends every datagram of ds and returns how many went out. The
// error is net.ErrClosed, or a *transport.WriteError that wraps ENETUNREACH
// where the host has no address of the family, EMSGSIZE over 2048 bytes and
// EINVAL for an address that is none.
func (c *Conn) WriteBatch(ds []transport.Datagram) (int, error) {
	c.host.net.mu.Lock()
	defer c.host.net.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	var failed *transport.WriteError
	sent := 0
	for i := range ds {
		err := c.write(&ds[i])
		switch {
		case err == nil:
			sent++
		case failed == nil:
			failed = &transport.WriteError{Index: i, Err: err}
		default:
			failed.Others = append(failed.Others, transport.WriteError{Index: i, Err: err})
		}
	}
	if failed != nil {
		return sent, failed
	}
	return sent, nil
}

// write sends one element of a batch, which may be a train of datagrams.
func (c *Conn) write(d *transport.Datagram) error {
	to := netip.AddrPortFrom(d.Addr.Addr().Unmap(), d.Addr.Port())
	if !to.IsValid() || to.Port() == 0 {
		return syscall.EINVAL
	}
	source, ok := c.host.source(to.Addr())
	if d.Local.Is4() == to.Addr().Is4() && slices.Contains(*c.host.addrs.Load(), d.Local) {
		source, ok = d.Local, true
	}
	if !ok {
		return syscall.ENETUNREACH
	}
	rest := d.Payload()
	each := d.Seg
	if each <= 0 {
		each = max(len(rest), 1)
	}
	if each > maxPayload {
		return syscall.EMSGSIZE
	}
	if len(rest) > each && c.host.net.wires.alone {
		return nil
	}
	for {
		n := min(each, len(rest))
		p := c.host.net.packet()
		p.from, p.to, p.ttl, p.tos = netip.AddrPortFrom(source, c.port), to, defaultTTL, d.TOS
		if d.TTL != 0 {
			p.ttl = d.TTL
		}
		p.n = copy(p.buf[:], rest[:n])
		if c.host.blocked {
			c.host.net.release(p)
		} else {
			c.host.net.route(p, c.host.realm)
		}
		if rest = rest[n:]; len(rest) == 0 {
			return nil
		}
	}
}
