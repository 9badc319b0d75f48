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
// counts as another's: the sockets send none. The frame is valid.
func (s *Sockets) Sent(self protocol.MAC, f protocol.Frame) (by Sender, to netip.AddrPort) {
	at, ip6, ok := network(f)
	if !ok {
		return Another, to
	}
	proto, segment := f[at+6], at+40
	if !ip6 {
		proto, segment = f[at+9], at+int(f[at]&15)*4
		if f[at+6]&0x1f|f[at+7] != 0 { // the offset of a fragment
			return Another, to
		}
	}
	var own *ports
	switch proto {
	case protoUDP:
		own = &s.udp
	case protoTCP:
		own = &s.tcp
	default:
		return Another, to
	}
	if len(f) < segment+4 || !own.has(uint16(f[segment])<<8|uint16(f[segment+1])) {
		return Another, to
	}
	by = Stranger
	if s.station(self, f.Src()) {
		by = Own
	}
	port := uint16(f[segment+2])<<8 | uint16(f[segment+3])
	if ip6 {
		return by, netip.AddrPortFrom(netip.AddrFrom16([16]byte(f[at+24:])).Unmap(), port)
	}
	return by, netip.AddrPortFrom(netip.AddrFrom4([4]byte(f[at+16:])), port)
}

// network returns where the IP header of a frame begins, behind two tags at most, and
// its version; ok is false for a frame of something else, or without a whole header.
func network(f protocol.Frame) (at int, ip6, ok bool) {
	at = protocol.EthernetLen
	for range 3 {
		switch uint16(f[at-2])<<8 | uint16(f[at-1]) {
		case protocol.EtherTypeIPv4:
			return at, false, len(f) >= at+20
		case protocol.EtherTypeIPv6:
			return at, true, len(f) >= at+40
		case protocol.EtherTypeVLAN, protocol.EtherTypeQinQ:
			at += protocol.VLANLen
		default:
			return at, false, false
		}
		if at > len(f) {
			break
		}
	}
	return at, false, false
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
