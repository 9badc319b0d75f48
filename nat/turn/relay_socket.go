package turn

import (
	"errors"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"

	"hedgerow/internal/bucket"
)

// relaySocket is the socket of one allocation, at its relayed transport address (RFC
// 8656). pion's server writes its client's data for peers to it, and one of
// pion's goroutines reads the peers' data from it, until it is closed.
type relaySocket struct {
	net.PacketConn
	server   *Server
	client   netip.AddrPort
	identity string
	port     uint16
	closing  sync.Once
	ending   sync.Once // its reader has got the end

	mu       sync.Mutex
	requests bucket.Bucket
	sent     bucket.Bucket
	received bucket.Bucket
	bill     bill
	peers    map[netip.Addr]time.Time // that it was permitted, by the last time
}

// WriteTo sends a client's data. A datagram that cannot be sent is lost, as in
// any network: pion would ignore an error.
func (r *relaySocket) WriteTo(b []byte, to net.Addr) (int, error) {
	if !r.spend(&r.sent, len(b)) {
		r.server.counters.limited.Add(1)
		return len(b), nil
	}
	_, _ = r.PacketConn.WriteTo(b, to)
	return len(b), nil
}

// ReadFrom reads a peer's datagram. It fails after Close only.
func (r *relaySocket) ReadFrom(b []byte) (int, net.Addr, error) {
	n, from, err := readDatagram(r.PacketConn, b, func(n int, from netip.AddrPort) bool {
		if n > maxDatagram || !r.spend(&r.received, n) {
			r.server.counters.limited.Add(1)
			return false
		}
		return from.IsValid()
	})
	if err != nil {
		r.ending.Do(r.server.allocations.readers.Done)
	}
	return n, from, err
}

// Close ends the allocation. It always succeeds: pion would leave the remaining
// relays open after an error.
func (r *relaySocket) Close() error {
	r.closing.Do(func() {
		_ = r.PacketConn.Close()
		r.server.allocations.remove(r)
		if r.server.cfg.Spend != nil {
			r.mu.Lock()
			r.bill.pay(time.Now(), r)
			r.mu.Unlock()
		}
		r.server.cfg.Log.Debug("TURN allocation ended", "client", r.client, "identity", r.identity, "port", r.port)
	})
	return nil
}

// spend reports whether n bytes may pass in a direction, whose bucket is b.
func (r *relaySocket) spend(b *bucket.Bucket, n int) bool {
	now, rate := time.Now(), r.server.cfg.Limits.Rate
	r.mu.Lock()
	defer r.mu.Unlock()
	if !b.Take(now, float64(n), rate, rate) {
		return false
	}
	return r.server.cfg.Spend == nil || r.bill.passes(now, n, r)
}

// bill is what has left for an allocation and Spend was not told of.
type bill struct {
	datagrams, bytes int
	over             bool      // no more may
	paid             time.Time // when Spend was told last
}

const (
	billBytes = 64 << 10    // of one that is told
	billAgain = time.Second // after no more may
)

// passes adds a datagram of n bytes to the bill of r, whose lock is held, unless no more may.
func (l *bill) passes(now time.Time, n int, r *relaySocket) bool {
	if l.over && now.Sub(l.paid) >= billAgain {
		l.pay(now, r)
	}
	if l.over {
		return false
	}
	l.datagrams++
	if l.bytes += n; l.bytes >= billBytes {
		l.pay(now, r)
	}
	return true
}

// pay tells Spend. Nobody who has a lock that Spend may take waits for that of r.
func (l *bill) pay(now time.Time, r *relaySocket) {
	l.over = !r.server.cfg.Spend(r.identity, l.datagrams, l.bytes)
	l.datagrams, l.bytes, l.paid = 0, 0, now
}

// readDatagram reads until keep accepts a datagram. It ignores errors other than
// that of a closed socket, since pion ends at any error; after 100 of them in a
// row it returns the last.
func readDatagram(c net.PacketConn, b []byte, keep func(n int, from netip.AddrPort) bool) (int, net.Addr, error) {
	const patience = 100
	for failed := 0; ; {
		n, from, err := c.ReadFrom(b)
		if err != nil {
			if failed++; errors.Is(err, net.ErrClosed) || failed > patience {
				return 0, nil, err
			}
			continue
		}
		failed = 0
		if keep(n, addrPort(from)) {
			return n, from, nil
		}
	}
}

// openTries is how many ports are tried for a relay. With half of the range in
// use one attempt in 4 billion fails.
const openTries = 32

// open opens a relay socket for the applicant, whose password has been checked.
func (s *Server) open() (net.PacketConn, net.Addr, error) {
	who := s.applicant
	if err := s.allocations.room(who.identity); err != nil {
		s.counters.refused.Add(1)
		s.cfg.Log.Debug("TURN allocation refused", "client", who.client, "identity", who.identity, "err", err)
		return nil, nil, err
	}
	conn, port, err := s.listen()
	if err != nil {
		s.counters.refused.Add(1)
		s.cfg.Log.Warn("no port is free for a TURN relay", "first", s.cfg.Ports[0], "last", s.cfg.Ports[1], "err", err)
		return nil, nil, err
	}
	r := &relaySocket{
		PacketConn: conn, server: s, client: who.client, identity: who.identity, port: port,
		peers: make(map[netip.Addr]time.Time),
	}
	s.allocations.add(r)
	s.cfg.Log.Debug("TURN allocation made", "client", r.client, "identity", r.identity, "port", port)
	return r, net.UDPAddrFromAddrPort(netip.AddrPortFrom(s.cfg.Address, port)), nil
}

// listen opens a socket at a random port, which is harder to guess than the next
// one (RFC 6056).
func (s *Server) listen() (conn net.PacketConn, port uint16, err error) {
	first, last := s.cfg.Ports[0], s.cfg.Ports[1]
	for range openTries {
		port = first + uint16(rand.UintN(uint(last-first)+1))
		if conn, err = s.cfg.Listen(netip.AddrPortFrom(s.cfg.Bind, port)); err == nil {
			return conn, port, nil
		}
	}
	return nil, 0, err
}
