package transport

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A side way is another way than a UDP socket for packets to travel: a stream, an
// allocation on a TURN server. Its packets look like datagrams with an address,
// so that whoever moves datagrams needs nothing else for them. That address is
// one of 100::/64, which no packet on a wire has (RFC 6666), with the way's
// number in the low 64 bits.
const (
	sidePrefix = 0x0100_0000_0000_0000
	sidePort   = 1
)

// MaxSidePacket is the longest packet in bytes that Sides.Deliver takes.
const MaxSidePacket = 2048

// ErrNoSide is why a packet for a side address was not sent: the way has ended,
// or there was none.
var ErrNoSide = errors.New("the side way of this address has ended")

// IsSide reports whether an address is that of a side way. It does not allocate.
func IsSide(a netip.Addr) bool {
	if a.Is4() { // most are
		return false
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]) == sidePrefix
}

// Sides are the side ways beside one process's sockets. Its methods may be called
// from any goroutine.
type Sides struct {
	// used says that there is or was a way: until then nothing is looked at.
	used  atomic.Bool
	inbox inbox
	sent  atomic.Uint64

	mu   sync.RWMutex // guards what follows; not held while a way sends
	last uint64       // number given away last; none is used again
	ways map[uint64]func(pkt []byte)
}

// NewSides returns a set without ways. It starts nothing.
func NewSides() *Sides {
	return &Sides{inbox: inbox{ready: make(chan struct{}, 1)}, ways: make(map[uint64]func([]byte))}
}

// Add gives a way an address, which is never given to another one. A connection
// of Writer or Reader calls send for each datagram to that address, on the
// goroutine of the write: send must not block, and must copy what it keeps. How
// many ways there are is the caller's to bound.
func (s *Sides) Add(send func(pkt []byte)) netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.ways[s.last] = send
	s.used.Store(true)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sidePrefix)
	binary.BigEndian.PutUint64(b[8:], s.last)
	return netip.AddrPortFrom(netip.AddrFrom16(b), sidePort)
}

// Remove ends a way. What is written to its address from now on is refused with
// ErrNoSide; a write that runs meanwhile may still call its send. What it
// delivered stays to be read.
func (s *Sides) Remove(a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if IsSide(a.Addr()) {
		delete(s.ways, sideNumber(a))
	}
}

// Deliver hands in a packet that came by a way; the connection of Reader returns
// it as a datagram from that way's address. The packet is copied. While nobody
// reads, 1024 packets wait; those that come then, or are longer than
// MaxSidePacket, are dropped and counted. After the end of the reader every one
// is.
func (s *Sides) Deliver(from netip.AddrPort, pkt []byte) { s.inbox.put(from, pkt) }

// SideCounters are what side ways have done.
type SideCounters struct {
	// Ways is how many there are now.
	Ways int
	// Received and Sent are the packets that came by all of them and that were
	// given to them.
	Received, Sent uint64
	// Dropped are the packets that came and that nobody read in time.
	Dropped uint64
}

// Counters returns the present values.
func (s *Sides) Counters() SideCounters {
	s.mu.RLock()
	ways := len(s.ways)
	s.mu.RUnlock()
	return SideCounters{Ways: ways, Received: s.inbox.received.Load(), Sent: s.sent.Load(), Dropped: s.inbox.dropped.Load()}
}

// sideNumber returns the number of a way from its address.
func sideNumber(a netip.AddrPort) uint64 {
	b := a.Addr().As16()
	return binary.BigEndian.Uint64(b[8:])
}

// way returns what sends to a side address, or nil.
func (s *Sides) way(a netip.AddrPort) func([]byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.ways[sideNumber(a)]
}

// send gives an entry of a batch to its way, the datagrams of a train one by one.
func (s *Sides) send(d *Datagram) error {
	send := s.way(d.Addr)
	if send == nil {
		return ErrNoSide
	}
	payload, seg := d.Payload(), d.Seg
	if seg <= 0 {
		seg = len(payload)
	}
	for len(payload) > 0 {
		n := min(seg, len(payload))
		send(payload[:n:n])
		s.sent.Add(1)
		payload = payload[n:]
	}
	return nil
}
