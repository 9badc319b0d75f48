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

// relay is the socket of one allocation. pion's server writes to it what its
// client sends to peers, and one of pion's goroutines reads from it what peers
// send, until it is closed.
type relay struct {
	net.PacketConn
	server   *Server
	client   netip.AddrPort
	identity string
	port     uint16
	closing  sync.Once
	ending   sync.Once // its reader has been told

	mu       sync.Mutex
	requests bucket.Bucket
	sent     bucket.Bucket
	received bucket.Bucket
	peers    map[netip.Addr]time.Time // that it was permitted, by the last time
}

// WriteTo sends a client's data. What it cannot send is lost, as in any network:
// pion has nobody to tell.
func (r *relay) WriteTo(b []byte, to net.Addr) (int, error) {
	if !r.spend(&r.sent, len(b)) {
		r.server.counters.limited.Add(1)
		return len(b), nil
	}
	_, _ = r.PacketConn.WriteTo(b, to)
	return len(b), nil
}

// ReadFrom reads a peer's datagram. It fails after Close only.
func (r *relay) ReadFrom(b []byte) (int, net.Addr, error) {
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
func (r *relay) Close() error {
	r.closing.Do(func() {
		_ = r.PacketConn.Close()
		r.server.allocations.remove(r)
		r.server.cfg.Log.Debug("TURN allocation ended", "client", r.client, "identity", r.identity, "port", r.port)
	})
	return nil
}

func (r *relay) spend(b *bucket.Bucket, n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	rate := r.server.cfg.Limits.Rate
	return b.Take(time.Now(), float64(n), rate, rate)
}

// readDatagram reads until a datagram is to be kept. Errors other than that of a
// closed socket pass, for pion takes any for the last; a socket that does nothing
// but fail ends all the same.
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

// open opens a relay for the applicant, whose password has been checked.
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
	r := &relay{
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
