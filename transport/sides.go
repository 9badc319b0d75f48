package transport

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"sync/atomic"
)

// A side address stands for a transport besides the UDP sockets, a side
// transport: a stream, an allocation on a TURN server, a further socket. Its
// packets look like datagrams with that address, so that code that moves
// datagrams needs nothing else for them. Side addresses are in 100::/64, the
// discard-only prefix (RFC 6666), which no packet on a wire has; the low 64 bits
// are the number of the side transport.
const (
	sidePrefix = 0x0100_0000_0000_0000
	sidePort   = 1
)

// MaxSidePacket is the longest packet in bytes that Sides.Deliver accepts.
const MaxSidePacket = 2048

// ErrNoSide is the reason in a WriteError for a packet to a side address without
// a transport: it was removed, or never added.
var ErrNoSide = errors.New("the side transport of this address has ended")

// IsSide reports whether an address is a side address. It does not allocate.
func IsSide(a netip.Addr) bool {
	if a.Is4() { // most are
		return false
	}
	b := a.As16()
	return binary.BigEndian.Uint64(b[:8]) == sidePrefix
}

// SidePrefix returns the prefix of all side addresses, 100::/64.
func SidePrefix() netip.Prefix {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sidePrefix)
	return netip.PrefixFrom(netip.AddrFrom16(b), 64)
}

// Sides are the side transports of one process. Its methods may be called from
// any goroutine.
type Sides struct {
	// used is set once there was a side transport: until then no address is
	// looked at.
	used  atomic.Bool
	inbox inbox
	sent  atomic.Uint64

	mu      sync.RWMutex // guards what follows; not held while a packet is sent
	last    uint64       // the number that was given last; none is used again
	senders map[uint64]func(pkt []byte)
}

// NewSides returns a set without side transports. It starts nothing.
func NewSides() *Sides {
	return &Sides{inbox: inbox{ready: make(chan struct{}, 1)}, senders: make(map[uint64]func([]byte))}
}

// Add gives a side transport an address, which no other one gets later. A
// connection of Writer or Reader calls send for each datagram to that address,
// on the goroutine of the write: send must not block, and must copy what it
// keeps. The caller bounds how many there are.
func (s *Sides) Add(send func(pkt []byte)) netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last++
	s.senders[s.last] = send
	s.used.Store(true)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sidePrefix)
	binary.BigEndian.PutUint64(b[8:], s.last)
	return netip.AddrPortFrom(netip.AddrFrom16(b), sidePort)
}

// Remove ends the use of a side address. A later write to it is refused with
// ErrNoSide; a concurrent write may still call its send. Packets that were
// delivered before can still be read.
func (s *Sides) Remove(a netip.AddrPort) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if IsSide(a.Addr()) {
		delete(s.senders, sideNumber(a))
	}
}

// Deliver hands in a packet that a side transport received; the connection of
// Reader returns it as a datagram from that transport's address. The packet is
// copied. At most 1024 packets wait for the reader; further ones, and those
// longer than MaxSidePacket, are dropped and counted. After the reader was
// closed every packet is dropped.
func (s *Sides) Deliver(from netip.AddrPort, pkt []byte) { s.inbox.put(from, pkt) }

// SideCounters count the packets of all side transports.
type SideCounters struct {
	// Open is how many side transports there are now.
	Open int
	// Received and Sent are the packets that side transports delivered, and the
	// packets that were given to them.
	Received, Sent uint64
	// Dropped are the delivered packets that were not read in time.
	Dropped uint64
}

// Counters returns the present values.
func (s *Sides) Counters() SideCounters {
	s.mu.RLock()
	open := len(s.senders)
	s.mu.RUnlock()
	return SideCounters{Open: open, Received: s.inbox.received.Load(), Sent: s.sent.Load(), Dropped: s.inbox.dropped.Load()}
}

// sideNumber returns the number in a side address.
func sideNumber(a netip.AddrPort) uint64 {
	b := a.Addr().As16()
	return binary.BigEndian.Uint64(b[8:])
}

// sender returns the function that sends to a side address, or nil.
func (s *Sides) sender(a netip.AddrPort) func([]byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.senders[sideNumber(a)]
}

// send gives an entry of a batch to its side transport, the datagrams of a train
// one by one.
func (s *Sides) send(d *Datagram) error {
	send := s.sender(d.Addr)
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
