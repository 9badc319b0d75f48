package turn

import (
	"net"
	"net/netip"
	"sync"
	"time"
)

// outlet is the socket that pion's client writes to: it sends by the edge's own
// socket, and nothing can be read from it.
type outlet struct {
	server netip.AddrPort
	send   func(to netip.AddrPort, pkt []byte)
	once   sync.Once
	closed chan struct{}
}

func newOutlet(server netip.AddrPort, send func(to netip.AddrPort, pkt []byte)) *outlet {
	return &outlet{server: server, send: send, closed: make(chan struct{})}
}

// WriteTo sends to the server. Before Close it never fails: pion does not end
// the transaction of a request that it could not send.
func (o *outlet) WriteTo(pkt []byte, _ net.Addr) (int, error) {
	select {
	case <-o.closed:
		return 0, net.ErrClosed
	default:
	}
	o.send(o.server, pkt)
	return len(pkt), nil
}

// ReadFrom blocks until Close.
func (o *outlet) ReadFrom([]byte) (int, net.Addr, error) {
	<-o.closed
	return 0, nil, net.ErrClosed
}

// Close ends ReadFrom and makes WriteTo fail.
func (o *outlet) Close() error {
	o.once.Do(func() { close(o.closed) })
	return nil
}

// LocalAddr returns an address that means nothing: the edge's socket has many.
func (o *outlet) LocalAddr() net.Addr { return &net.UDPAddr{} }

// SetDeadline does nothing: nothing here waits for a time.
func (o *outlet) SetDeadline(time.Time) error { return nil }

// SetReadDeadline is there for net.PacketConn.
func (o *outlet) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline is there for net.PacketConn.
func (o *outlet) SetWriteDeadline(time.Time) error { return nil }
