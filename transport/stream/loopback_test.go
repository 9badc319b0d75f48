package stream

import (
	"bytes"
	"crypto/tls"
	"net"
	"net/netip"
	"testing"
	"time"

	"hedgerow/transport"
)

// echo is an office that sends everything back where it came from.
type echo struct {
	*transport.Sides
	out    *transport.MuxWriter
	server *Server
	t      *testing.T
}

func (e *echo) Deliver(from netip.AddrPort, pkt []byte) {
	e.server.Keep(from, time.Hour)
	d := transport.Datagram{Buf: pkt, N: len(pkt), Addr: from}
	if _, err := e.out.WriteBatch([]transport.Datagram{d}); err != nil {
		e.t.Error(err)
	}
}

// TestLoopback moves packets over sockets of the kernel, whose reads end where
// they like.
func TestLoopback(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	sides := transport.NewSides()
	office := &echo{Sides: sides, out: sides.Writer(nil), t: t}
	s, err := NewServer(ServerConfig{
		Listeners: []net.Listener{l}, Sides: office,
		Certificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return certificate(), nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	office.server = s
	ctx := t.Context()
	go func() { _ = s.Serve(ctx) }()
	const burst = 15 // waits for however long
	size := func(i int) int { return 1 + i*137%MaxPacket }
	back := make(chan []byte, burst)
	at := l.Addr().(*net.TCPAddr).AddrPort()
	c, err := Dial(ctx, DialConfig{
		Host: at.Addr().String(), Port: at.Port(), Ports: []uint16{at.Port()}, NoProxy: true,
		Deliver: func(pkt []byte) { back <- bytes.Clone(pkt) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	late := time.After(time.Minute)
	for round := range 100 {
		for i := range burst {
			c.Send(bytes.Repeat([]byte{byte(i)}, size(i)))
		}
		last := map[bool]int{true: -1, false: -1} // of short ones, which go ahead, and of others
		for range burst {
			select {
			case pkt := <-back:
				i := int(pkt[0])
				short := len(pkt) <= shortPacket
				if !bytes.Equal(pkt, bytes.Repeat([]byte{byte(i)}, size(i))) || i <= last[short] {
					t.Fatalf("round %d: %d bytes of packet %d after packet %d", round, len(pkt), i, last[short])
				}
				last[short] = i
			case <-late:
				t.Fatalf("round %d: a packet did not come back", round)
			}
		}
	}
	if c.Dropped() != 0 || s.Status().Dropped != 0 {
		t.Errorf("%d and %d dropped", c.Dropped(), s.Status().Dropped)
	}
}
