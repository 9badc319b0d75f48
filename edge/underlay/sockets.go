package underlay

import (
	"errors"
	"net/netip"

	"hedgerow/transport"
)

// ErrNoSockets says that the configuration has nothing that opens sockets.
var ErrNoSockets = errors.New("underlay: no further sockets can be opened")

// Sockets opens further UDP sockets: each has a mapping of its own in our NATs,
// of which a peer may find one (docs/NAT.md). Which peer it is for, the caller
// knows.
type Sockets struct{ cfg *Config }

// Possible reports whether sockets can be opened at all.
func (s *Sockets) Possible() bool { return s.cfg.Transports.sockets() }

// Uplinks returns by which other interfaces an IPv4 address may be reached.
func (s *Sockets) Uplinks(to netip.Addr) []Uplink {
	if s.cfg.Transports.Uplinks == nil || !s.Possible() {
		return nil
	}
	return s.cfg.Transports.Uplinks(to)
}

// Open opens a socket. What comes in appears as coming from side addresses, one
// for each IPv4 address and port that it comes from. It fails with ErrNoSockets, and when the
// system has no socket left.
func (s *Sockets) Open() (*SideSocket, error) {
	if !s.Possible() {
		return nil, ErrNoSockets
	}
	return s.open(s.cfg.Transports.Open)
}

// OpenBy is Open for a socket of an uplink.
func (s *Sockets) OpenBy(u Uplink) (*SideSocket, error) { return s.open(u.Open) }

func (s *Sockets) open(open func(receive func(from netip.AddrPort, pkt []byte)) (Socket, error)) (*SideSocket, error) {
	x := &SideSocket{}
	x.addresses = newSideAddresses(s.cfg, func(far netip.AddrPort, pkt []byte) { x.conn.Send(far, 0, pkt) })
	ready := make(chan struct{})
	conn, err := open(func(from netip.AddrPort, pkt []byte) {
		<-ready // what comes at once may be answered at once
		x.addresses.deliver(from, pkt)
	})
	if err != nil {
		x.addresses.end()
		s.cfg.refuse(RefusedSocket, netip.AddrPort{}, err)
		return nil, err
	}
	x.conn = conn
	close(ready)
	return x, nil
}

// SideSocket is a further socket with its side addresses. Its methods but Close
// may be called from any goroutine.
type SideSocket struct {
	conn      Socket
	addresses *sideAddresses
}

// Send sends a packet to an address outside, with a TTL of its own if that is not
// 0. It does not block and keeps nothing; what the system refuses is lost.
func (x *SideSocket) Send(to netip.AddrPort, ttl uint8, pkt []byte) { x.conn.Send(to, ttl, pkt) }

// Side returns the side address that stands for an IPv4 address outside; not valid for
// others.
func (x *SideSocket) Side(far netip.AddrPort) netip.AddrPort {
	return transport.SideOf(x.addresses.prefix, far)
}

// Far returns the address outside that a side address of this socket stands for.
func (x *SideSocket) Far(side netip.AddrPort) (far netip.AddrPort, ok bool) {
	return x.addresses.far(side)
}

// Holds reports whether a side address is one of this socket.
func (x *SideSocket) Holds(side netip.AddrPort) bool {
	_, ok := x.addresses.far(side)
	return ok
}

// Close closes the socket and removes its side addresses.
func (x *SideSocket) Close() {
	_ = x.conn.Close()
	x.addresses.end()
}
