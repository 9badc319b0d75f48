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
	ended chan struct{}
}

// open opens a further socket on the edge's host.
func (e *Edge) open(receive func(from netip.AddrPort, pkt []byte)) (underlay.Socket, error) {
	conn, err := e.host.Listen(0)
	if err != nil {
		return nil, err
	}
	s := &socket{conn: conn, ended: make(chan struct{})}
	go s.read(receive)
	return s, nil
}

func (s *socket) read(receive func(from netip.AddrPort, pkt []byte)) {
	defer close(s.ended)
	in := []transport.Datagram{{Buf: make([]byte, 2048)}}
	for {
		n, err := s.conn.ReadBatch(in)
		if n == 0 && err == nil {
			err = s.conn.Wait()
		} else if err == nil {
			receive(in[0].Addr, in[0].Payload())
		}
		if err != nil {
			return
		}
	}
}

// Send sends a datagram; what the internet refuses is lost.
func (s *socket) Send(to netip.AddrPort, ttl uint8, pkt []byte) {
	_, _ = s.conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: to, TTL: ttl}})
}

// Close closes the socket and waits for its goroutine.
func (s *socket) Close() error {
	err := s.conn.Close()
	<-s.ended
	return err
}
