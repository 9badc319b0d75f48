package bridge

import (
	"net/netip"
	"sync/atomic"

	"hedgerow/protocol"
)

// Sockets are the underlay sockets of an edge as they would be seen on its own device:
// by the hardware addresses of this host and by the sockets' ports. A packet that one of
// them sent must not come out of the device, since it would be carried by what it
// carries. It would be if this host's route to a peer led into the overlay.
//
// Both are needed. The port alone may be that of another host behind our bridge; on this
// host it is nobody else's, since the sockets have it on every address. A container that
// this host translates (NAT) to such a port is taken for the socket; there is one chance
// in 28 000 of that for each of its flows.
//
// The zero value has no sockets. Its methods may be called from any goroutine.
type Sockets struct {
	udp, tcp ports
	stations atomic.Pointer[[]protocol.MAC]
}

// ports are numbers of ports, with one bit each.
type ports [1 << 16 / 64]atomic.Uint64

func (p *ports) has(port uint16) bool { return p[port/64].Load()>>(port%64)&1 != 0 }
func (p *ports) open(port uint16)     { p[port/64].Or(1 << (port % 64)) }
func (p *ports) close(port uint16)    { p[port/64].And(^(1 << (port % 64))) }

// OpenUDP notes the local port of a UDP socket.
func (s *Sockets) OpenUDP(port uint16) { s.udp.open(port) }

// CloseUDP notes that no UDP socket has that port any more.
func (s *Sockets) CloseUDP(port uint16) { s.udp.close(port) }

// OpenTCP notes the local port of a TCP connection.
func (s *Sockets) OpenTCP(port uint16) { s.tcp.open(port) }

// CloseTCP notes that no TCP connection has that port any more.
func (s *Sockets) CloseTCP(port uint16) { s.tcp.close(port) }

// SetStations replaces the hardware addresses that this host's own frames have as their
// source, besides that of the device. The slice is not changed any more.
func (s *Sockets) SetStations(list []protocol.MAC) { s.stations.Store(&list) }

// A Sender is who sent the packet in a frame.
type Sender uint8

const (
	// Another host, or another program.
	Another Sender = iota
	// Stranger is a host that is not known to be this one, from the port of one of the
	// sockets: if addresses of this host have changed, it may be this one.
	Stranger
	// Own is one of the sockets.
	Own
)

// Sent returns who sent the packet in a frame of the device, whose own address is self,
// and to where, unless it was Another. A later fragment of a packet has no ports, and
// counts as another's: the sockets send none.
func (s *Sockets) Sent(self protocol.MAC, f *Parsed) (by Sender, to netip.AddrPort) {
	from, port, ok := f.ports()
	if !ok {
		return Another, to
	}
	own := &s.udp
	if f.proto == protoTCP {
		own = &s.tcp
	}
	if !own.has(from) {
		return Another, to
	}
	by = Stranger
	if s.station(self, f.Src()) {
		by = Own
	}
	if p := f.Payload(); f.etherType == protocol.EtherTypeIPv4 {
		to = netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[16:])), port)
	} else {
		to = netip.AddrPortFrom(netip.AddrFrom16([16]byte(p[24:])).Unmap(), port)
	}
	return by, to
}

// station reports whether a frame with that source is one of this host's own.
func (s *Sockets) station(self, source protocol.MAC) bool {
	if source == self {
		return true
	}
	if list := s.stations.Load(); list != nil {
		for _, m := range *list {
			if m == source {
				return true
			}
		}
	}
	return false
}
