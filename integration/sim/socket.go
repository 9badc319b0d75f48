package sim

import (
	"net/netip"

	"hedgerow/edge/underlay"
	"hedgerow/nat/nattest"
	"hedgerow/transport"
)

// socket is one of the further sockets of an edge.
type socket struct {
	conn  *nattest.Conn
	nat64 *transport.NAT64
	ended chan struct{}
}

// opener returns what opens further sockets on the edge's host.
func (e *Edge) opener(n *transport.NAT64) func(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
	return func(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
		conn, err := e.host.Listen(0)
		if err != nil {
			return nil, err
		}
		s := &socket{conn: conn, nat64: n, ended: make(chan struct{})}
		go s.read(receive)
		return s, nil
	}
}

func (s *socket) read(receive func(from netip.AddrPort, pkt []byte)) {
	defer close(s.ended)
	in := []transport.Datagram{{Buf: make([]byte, 2048)}}
	for {
		n, err := s.conn.ReadBatch(in)
		if n == 0 && err == nil {
			err = s.conn.Wait()
		} else if err == nil {
			receive(s.nat64.Inward(in[0].Addr), in[0].Payload())
		}
		if err != nil {
			return
		}
	}
}

// Send sends a datagram; what the internet refuses is lost.
func (s *socket) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	_, _ = s.conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: s.nat64.Outward(to), TTL: ttl}})
}

// Close closes the socket and waits for its goroutine.
func (s *socket) Close() error {
	err := s.conn.Close()
	<-s.ended
	return err
}
