package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// Single is a UDP socket for IPv4 addresses with a random port and a goroutine that reads
// it; through a NAT64 it is one of IPv6. It is for the hundreds of sockets that are opened
// for seconds to get through a NAT; much traffic needs a UDP.
type Single struct {
	conn  *net.UDPConn
	nat64 *nat64Use     // nil: none
	ended chan struct{} // closed when the reading goroutine has ended
}

// singleBuffer is the room for one datagram in bytes: more than any packet has.
const singleBuffer = 2048

// OpenSingle opens a socket, bound as b says, that reaches IPv4 addresses as n says now.
// receive is called from the socket's goroutine with every datagram that comes in until
// Close has returned; it must not keep pkt, and must not call Close. The error is the
// system's (too many open files).
func OpenSingle(b Binding, n *NAT64, receive func(from netip.AddrPort, pkt []byte)) (*Single, error) {
	through, network := n.use(), "udp4"
	if through != nil {
		network = "udp6"
	}
	packet, err := (&net.ListenConfig{Control: b.Control}).ListenPacket(context.Background(), network, ":0")
	if err != nil {
		return nil, fmt.Errorf("cannot open a further UDP socket: %w", err)
	}
	conn := packet.(*net.UDPConn) // "udp" networks are documented to return this type
	s := &Single{conn: conn, nat64: through, ended: make(chan struct{})}
	go s.read(receive)
	return s, nil
}

func (s *Single) read(receive func(from netip.AddrPort, pkt []byte)) {
	defer close(s.ended)
	buf := make([]byte, singleBuffer)
	for faults := 0; ; {
		n, from, err := s.conn.ReadFromUDPAddrPort(buf)
		switch {
		case err == nil:
			faults = 0
			receive(s.nat64.inward(unmapped(from)), buf[:n])
		case passing(err):
			faults++
			breathe(faults)
		default:
			return
		}
	}
}

// Send sends a datagram, with a time to live of its own if ttl is not 0. Where
// the system cannot set one for a single datagram, or refuses to send, it is
// lost: the network could have done the same.
func (s *Single) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	to = s.nat64.outward(unmapped(to))
	if ttl == 0 {
		_, _ = s.conn.WriteToUDPAddrPort(pkt, to)
		return
	}
	if oob := ttlMessage(ttl, to.Addr().Is4()); oob != nil {
		_, _, _ = s.conn.WriteMsgUDPAddrPort(pkt, oob, to)
	}
}

// Port returns the local port.
func (s *Single) Port() uint16 { return uint16(s.conn.LocalAddr().(*net.UDPAddr).Port) }

// Close closes the socket and returns when its goroutine has ended. Further calls
// return net.ErrClosed.
func (s *Single) Close() error {
	err := s.conn.Close()
	<-s.ended
	return err
}
