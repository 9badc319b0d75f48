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
// discard-only prefix (RFC 6666), which no packet on a wire has. The next 32 bits are
// the number of the side transport. Where one has many far ends, as a socket has, the
// low 32 bits and the port are those of the IPv4 far end, so that nothing has to be
// kept for whoever sends to it.
const (
	sidePrefix = 0x0100_0000_0000_0000
	sidePort   = 1
	sideBits   = 96 // the prefix and the number
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

// EndedSide returns the side address that no side transport ever gets: that of one of
// another process, which has ended. Number 0 is left out when the numbers begin anew.
func EndedSide() netip.AddrPort {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sidePrefix)
	return netip.AddrPortFrom(netip.AddrFrom16(b), sidePort)
}

// Sides are the side transports of one process. Its methods may be called from
// any goroutine.
type Sides struct {
	// used is set once there was a side transport: until then no address is
	// looked at.
	used  atomic.Bool
	nat64 NAT64 // of the sockets
	inbox inbox
	sent  atomic.Uint64

	mu      sync.RWMutex // guards what follows; not held while a packet is sent
	last    uint32       // the number that was given last
	senders map[uint32]func(far netip.AddrPort, pkt []byte)
}

// NewSides returns a set without side transports. It starts nothing.
func NewSides() *Sides {
	return &Sides{inbox: inbox{ready: make(chan struct{}, 1)}, senders: make(map[uint32]func(netip.AddrPort, []byte))}
}

// NAT64 returns what says how the sockets of Writer and Reader reach IPv4 addresses.
func (s *Sides) NAT64() *NAT64 { return &s.nat64 }

// Add gives a side transport an address, which no other one gets before four
// billions of others. A connection of Writer or Reader calls send for each datagram to
// that address, on the goroutine of the write: send must not block, and must copy what
// it keeps. The caller bounds how many there are.
func (s *Sides) Add(send func(pkt []byte)) netip.AddrPort {
	p := s.AddEnds(func(_ netip.AddrPort, pkt []byte) { send(pkt) })
	return netip.AddrPortFrom(p.Addr(), sidePort)
}

// AddEnds is Add for a side transport with many far ends over IPv4. It returns the
// prefix of their addresses, a /96, in which SideOf and FarEnd translate; a datagram to
// any of them is given to send with its far end.
func (s *Sides) AddEnds(send func(far netip.AddrPort, pkt []byte)) netip.Prefix {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.last++; s.last == 0 || s.senders[s.last] != nil; s.last++ {
	}
	s.senders[s.last] = send
	s.used.Store(true)
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], sidePrefix)
	binary.BigEndian.PutUint32(b[8:], s.last)
	return netip.PrefixFrom(netip.AddrFrom16(b), sideBits)
}

// SideOf returns the side address of an IPv4 far end behind a prefix of AddEnds. It is
// not valid for a far end without an IPv4 address or a port.
func SideOf(p netip.Prefix, far netip.AddrPort) netip.AddrPort {
	ip := far.Addr().Unmap()
	if !ip.Is4() || far.Port() == 0 {
		return netip.AddrPort{}
	}
	b, four := p.Addr().As16(), ip.As4()
	copy(b[12:], four[:])
	return netip.AddrPortFrom(netip.AddrFrom16(b), far.Port())
}

// FarEnd returns the far end that a side address stands for. ok is false for an address
// of Add, which has none, and for what is no side address.
func FarEnd(side netip.AddrPort) (far netip.AddrPort, ok bool) {
	if !IsSide(side.Addr()) {
		return netip.AddrPort{}, false
	}
	b := side.Addr().As16()
	far = netip.AddrPortFrom(netip.AddrFrom4([4]byte(b[12:])), side.Port())
	return far, !far.Addr().IsUnspecified()
}

// Remove ends the use of a side address, and of all others of its side transport. A
// later write to one is refused with ErrNoSide; a concurrent write may still call its send.
// Packets that were delivered before can still be read.
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

// sideNumber returns the number of the side transport in a side address.
func sideNumber(a netip.AddrPort) uint32 {
	b := a.Addr().As16()
	return binary.BigEndian.Uint32(b[8:])
}

// sender returns the function that sends to a side address, or nil.
func (s *Sides) sender(a netip.AddrPort) func(netip.AddrPort, []byte) {
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
	far, _ := FarEnd(d.Addr)
	payload, seg := d.Payload(), d.Seg
	if seg <= 0 {
		seg = len(payload)
	}
	for len(payload) > 0 {
		n := min(seg, len(payload))
		send(far, payload[:n:n])
		s.sent.Add(1)
		payload = payload[n:]
	}
	return nil
}
