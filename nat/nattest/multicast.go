package nattest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"syscall"
)

// announcePort is the port from which packets to the group come.
const announcePort = 7655

// maxAnnouncement is the longest packet to the group in bytes.
const maxAnnouncement = 1400

// Multicast is a host's socket for a group of link-local scope: the double of
// internal/lan. What one announces, all others of its LAN that have announced
// before hear, once for each address family that both hosts have. Its methods
// may be called from any goroutine.
type Multicast struct {
	host   *Host
	wake   chan struct{} // holds a token while packets wait, and is closed by Close
	joined bool
	queued []*packet
	closed bool
}

// Multicast opens a socket for the group. Several of one host hear each other.
func (h *Host) Multicast() *Multicast {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	m := &Multicast{host: h, wake: make(chan struct{}, 1)}
	if h.net.closed {
		m.shut()
		return m
	}
	h.net.announcers = append(h.net.announcers, m)
	return m
}

// Announce sends a packet of 1 to 1400 bytes to the group, once for each address
// family of the host, joins the group, and returns how many packets that were: 0
// on the public internet, which is no LAN. The error is net.ErrClosed after
// Close, and one that says which lengths there are.
func (m *Multicast) Announce(pkt []byte) (n int, err error) {
	h := m.host
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	switch {
	case m.closed:
		return 0, net.ErrClosed
	case len(pkt) == 0 || len(pkt) > maxAnnouncement:
		return 0, fmt.Errorf("nattest: an announcement of %d bytes: it has 1 to %d: %w", len(pkt), maxAnnouncement, syscall.EMSGSIZE)
	case h.realm.lan == nil:
		return 0, nil
	}
	m.joined = true
	for _, group := range [...]netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		a, ok := h.source(group)
		if !ok {
			continue
		}
		n++
		from := netip.AddrPortFrom(a, announcePort)
		if l := h.realm.lan; !h.blocked {
			if l.tap != nil {
				l.tap(from, pkt)
			}
			l.announce(m, from, pkt)
		}
	}
	return n, nil
}

// announce sends a packet to everybody in the group but its sender.
func (l *LAN) announce(sender *Multicast, from netip.AddrPort, pkt []byte) {
	for _, m := range l.net.announcers {
		to, ok := m.host.source(from.Addr())
		if m == sender || !m.joined || m.host.realm != l.realm || !ok {
			continue
		}
		p := l.net.packet()
		p.from, p.to, p.ttl, p.realm, p.group = from, netip.AddrPortFrom(to, announcePort), 1, l.realm, m
		p.n = copy(p.buf[:], pkt)
		l.carry(p)
	}
}

// arrive queues p for Serve.
func (m *Multicast) arrive(p *packet) {
	if m.closed || m.host.blocked || m.host.realm != p.realm || len(m.queued) >= queueLen {
		m.host.net.release(p)
		return
	}
	m.queued = append(m.queued, p)
	signal(m.wake)
}

// Serve calls heard with what others announce until ctx ends or Close is called,
// and returns nil. heard may use pkt until it returns.
func (m *Multicast) Serve(ctx context.Context, heard func(from netip.AddrPort, pkt []byte)) error {
	buf := make([]byte, maxPayload)
	for {
		from, n, waiting, closed := m.next(buf)
		switch {
		case closed || ctx.Err() != nil:
			return nil
		case waiting:
			heard(from, buf[:n])
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		}
	}
}

// next takes the packet that has waited longest, if there is one.
func (m *Multicast) next(buf []byte) (from netip.AddrPort, n int, waiting, closed bool) {
	h := m.host
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if m.closed || len(m.queued) == 0 {
		return netip.AddrPort{}, 0, false, m.closed
	}
	p := m.queued[0]
	m.queued = slices.Delete(m.queued, 0, 1)
	from, n = p.from, copy(buf, p.payload())
	h.net.release(p)
	return from, n, true, false
}

// Close leaves the group, which ends Serve. It returns net.ErrClosed when it was
// closed before.
func (m *Multicast) Close() error {
	n := m.host.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if m.closed {
		return net.ErrClosed
	}
	m.shut()
	n.announcers = slices.DeleteFunc(n.announcers, func(x *Multicast) bool { return x == m })
	return nil
}

// shut closes the socket; the lock is held.
func (m *Multicast) shut() {
	m.closed = true
	for _, p := range m.queued {
		m.host.net.release(p)
	}
	m.queued = nil
	close(m.wake)
}
