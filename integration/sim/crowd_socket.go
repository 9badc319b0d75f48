package sim

import (
	"net"
	"net/netip"
	"sync"

	"hedgerow/edge/underlay"
	"hedgerow/transport"
)

// crowdQueue is how many datagrams wait in one direction: as many as a socket's
// buffer of some megabytes holds.
const crowdQueue = 8192

// crowdSocket is the socket of a crowd's edge. It costs the edge a copy for each
// datagram and nothing else.
type crowdSocket struct{ in, out *mail }

func newCrowdSocket() *crowdSocket { return &crowdSocket{newMail(), newMail()} }

// ReadBatch reads what has come.
func (s *crowdSocket) ReadBatch(ds []transport.Datagram) (n int, err error) {
	for n < len(ds) {
		from, pkt, ok := s.in.take()
		if !ok {
			break
		}
		ds[n].N, ds[n].Addr, ds[n].Seg = copy(ds[n].Buf, pkt), from, 0
		s.in.free(pkt)
		n++
	}
	if n == 0 && s.in.ended() {
		return 0, net.ErrClosed
	}
	return n, nil
}

// WriteBatch hands datagrams to the scripts; trains are taken apart.
func (s *crowdSocket) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		payload, seg := ds[i].Payload(), ds[i].Seg
		if seg <= 0 {
			seg = len(payload)
		}
		for len(payload) > 0 {
			n := min(seg, len(payload))
			s.out.put(ds[i].Addr, payload[:n])
			payload = payload[n:]
		}
	}
	return len(ds), nil
}

// Ready returns a channel that holds a token when something has come.
func (s *crowdSocket) Ready() <-chan struct{} { return s.in.ready }

// LocalAddr returns the edge's address.
func (s *crowdSocket) LocalAddr() netip.AddrPort { return crowdEdgeAddr }

// Close ends reading.
func (s *crowdSocket) Close() error {
	s.in.end()
	return nil
}

// open opens a further socket, to which nobody answers.
func (s *crowdSocket) open(func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
	return furtherSocket{s}, nil
}

// furtherSocket is one of the further sockets of a crowd's edge.
type furtherSocket struct{ *crowdSocket }

// Send hands a datagram to the scripts. One that does not get there, for its TTL,
// is lost.
func (s furtherSocket) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	if ttl == 0 {
		s.out.put(to, pkt)
	}
}

// Close leaves the data socket as it is.
func (furtherSocket) Close() error { return nil }

// mail is the datagrams of one direction.
type mail struct {
	ready chan struct{} // holds a token when some wait

	mu      sync.Mutex
	list    []letter
	spare   [][]byte
	dropped int
	closed  bool
}

type letter struct {
	addr netip.AddrPort
	pkt  []byte
}

func newMail() *mail { return &mail{ready: make(chan struct{}, 1)} }

func (m *mail) put(a netip.AddrPort, pkt []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == crowdQueue {
		m.dropped++
		return
	}
	var b []byte
	if n := len(m.spare); n > 0 {
		b, m.spare = m.spare[n-1], m.spare[:n-1]
	} else {
		b = make([]byte, 0, 2048)
	}
	m.list = append(m.list, letter{a, append(b[:0], pkt...)})
	m.tell()
}

func (m *mail) tell() {
	select {
	case m.ready <- struct{}{}:
	default:
	}
}

// take returns the oldest datagram; its bytes are the caller's until free.
func (m *mail) take() (a netip.AddrPort, pkt []byte, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.list) == 0 {
		return a, nil, false
	}
	first := m.list[0]
	if m.list = m.list[1:]; len(m.list) > 0 {
		m.tell()
	}
	return first.addr, first.pkt, true
}

func (m *mail) free(pkt []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.spare = append(m.spare, pkt)
}

func (m *mail) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.tell()
}

func (m *mail) ended() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.closed
}
