package sim

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"

	"hedgerow/edge"
	"hedgerow/edge/bridge"
	"hedgerow/internal/stack"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Stacked is a host that has an address on the bridge of which its edge's device is a
// port, as its kernel sees it: what it sends to an address that its routes lead to by the
// bridge comes out of the device, in a frame, and what comes there out of the overlay is
// received.
type Stacked struct {
	Inside netip.Addr   // on the bridge
	MAC    protocol.MAC // of the bridge
	Peer   *Stacked     // who has every address there that is not this host's

	inward  atomic.Pointer[[]netip.Addr] // where routes lead by the bridge
	sockets *bridge.Sockets
	naive   bool // the edge cannot ask what of its host is its own
	edge    *Edge
	port    uint16

	outer     atomic.Uint64 // bytes that have left by the internet
	recursive atomic.Uint64 // datagrams of the edge that have left by the bridge
}

// NewStacked returns the n-th of several hosts. The address of the other one, which is to
// be set as its Peer, is on the bridge, too.
func NewStacked(n byte) *Stacked {
	return &Stacked{Inside: netip.AddrFrom4([4]byte{10, 77, 0, n}), MAC: protocol.MAC{2, 0xb1, 0, 0, 0, n}, sockets: new(bridge.Sockets)}
}

// Lead has routes lead to addresses by the bridge, besides those that are on it.
func (s *Stacked) Lead(to ...netip.Addr) { s.inward.Store(&to) }

// Own returns what the edge may ask: nothing if the host is naive.
func (s *Stacked) Own() edge.Own {
	if s.naive {
		return edge.Own{}
	}
	return edge.Own{Stack: s, Sockets: s.sockets}
}

// Egress returns where packets to an address go.
func (s *Stacked) Egress(to netip.Addr) stack.Egress {
	if s.leads(to) {
		return stack.Above
	}
	return stack.Outside
}

// Stations returns the hardware addresses of the host.
func (s *Stacked) Stations() []net.HardwareAddr { return []net.HardwareAddr{s.MAC[:]} }

// Forget does nothing: nothing is remembered.
func (s *Stacked) Forget() {}

func (s *Stacked) leads(to netip.Addr) bool {
	more := s.inward.Load()
	return netip.PrefixFrom(s.Inside, 24).Contains(to) || more != nil && slices.Contains(*more, to)
}

// wrap returns the socket of the edge.
func (s *Stacked) wrap(e *Edge, conn *nattest.Conn) transport.Batch {
	s.edge, s.port = e, conn.LocalAddr().Port()
	s.sockets.OpenUDP(s.port)
	return &stackedSocket{Conn: conn, host: s}
}

// stackedSocket is a socket of a Stacked host.
type stackedSocket struct {
	*nattest.Conn
	host *Stacked
}

// WriteBatch sends datagrams where the routes lead.
func (c *stackedSocket) WriteBatch(ds []transport.Datagram) (int, error) {
	for i := range ds {
		if to := ds[i].Addr; !c.host.leads(to.Addr()) {
			c.host.outer.Add(uint64(ds[i].N))
			if _, err := c.Conn.WriteBatch(ds[i : i+1]); err != nil {
				return i, err
			}
			continue
		}
		c.host.recursive.Add(1)
		c.host.edge.Device.Inject(c.host.datagram(ds[i].Addr, ds[i].Payload()))
	}
	return len(ds), nil
}

// datagram returns the frame of a datagram that leaves by the bridge.
func (s *Stacked) datagram(to netip.AddrPort, payload []byte) []byte {
	udp := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, s.port), to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(8+len(payload)))
	return ipFrame(s.MAC, s.Peer.MAC, s.Inside, to.Addr(), 17, append(append(udp, 0, 0), payload...))
}

// Deliver takes a frame that the edge wrote to its device: the kernel takes what is for one
// of its addresses.
func (s *Stacked) Deliver(frame []byte) {
	f := protocol.Frame(frame)
	p := f.Payload()
	if f.Dst() != s.MAC || f.EtherType() != protocol.EtherTypeIPv4 || p[9] != 17 || binary.BigEndian.Uint16(p[22:]) != s.port {
		return
	}
	from := netip.AddrPortFrom(netip.AddrFrom4([4]byte(p[12:])), binary.BigEndian.Uint16(p[20:]))
	s.edge.world.Net.Inject(from, netip.AddrPortFrom(s.edge.host.Addresses()[0], s.port), p[28:])
}
