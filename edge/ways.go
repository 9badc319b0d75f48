package edge

import (
	"context"
	"net/netip"

	"hedgerow/edge/dataplane"
	"hedgerow/transport"
)

// Ways are what an edge needs to send by more than its data sockets. The zero
// value does without: no sockets are opened for NATs that are hard to get
// through, no streams, no TURN.
type Ways struct {
	// Sides give an address to every other way, so that the rest of the edge
	// knows addresses only. *transport.Sides is one.
	Sides Sides
	// Open opens a UDP socket of its own port. receive is called with what comes
	// in, from the socket's goroutine, until Close has returned; it keeps nothing.
	Open func(receive func(from netip.AddrPort, pkt []byte)) (Socket, error)
	// Dial connects to a supernode by a stream, which lasts until ctx ends; it
	// gives up by itself. deliver is called with every packet that comes, from
	// one goroutine, until Done; it keeps nothing.
	Dial func(ctx context.Context, s Supernode, deliver func(pkt []byte)) (Stream, error)
	// Relay makes what can allocate a relay on a TURN server; it sends nothing
	// yet.
	Relay func(RelayConfig) (Relay, error)
}

// sendAlone sends one datagram by a socket; what the network refuses is lost.
func sendAlone(conn dataplane.Conn, to netip.AddrPort, pkt []byte) {
	_, _ = conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: to}})
}

// Stream carries packets to one supernode where UDP does not.
type Stream interface {
	// Send sends a packet; what does not fit into the queue is lost. It does not
	// block and keeps nothing.
	Send(pkt []byte)
	// Done returns a channel that is closed when the stream has ended.
	Done() <-chan struct{}
	// String says how it goes, for a person.
	String() string
	// Close ends the stream and waits for its goroutines. It may be called twice.
	Close()
}

// Sides gives addresses to ways. Its methods may be called from any goroutine.
type Sides interface {
	// Add returns the address of a new way. send is called for every packet to
	// it; it does not block and keeps nothing.
	Add(send func(pkt []byte)) netip.AddrPort
	// Remove takes an address back.
	Remove(a netip.AddrPort)
	// Deliver hands in a packet that came by the way with an address.
	Deliver(from netip.AddrPort, pkt []byte)
}

// Socket is a further UDP socket.
type Socket interface {
	// Send sends a packet, with a TTL of its own if that is not 0. What the
	// system refuses is lost.
	Send(to netip.AddrPort, ttl uint8, pkt []byte)
	// Close closes the socket and waits for its goroutine.
	Close() error
}

// possible reports whether the edge may open sockets for a path.
func (w *Ways) possible() bool { return w.Sides != nil && w.Open != nil }

// isSide reports whether an address is that of a side way.
func isSide(a netip.AddrPort) bool { return sidePrefix.Contains(a.Addr()) }

// sidePrefix holds the addresses that Sides gives (RFC 6666: nothing else has
// them).
var sidePrefix = netip.MustParsePrefix("100::/64")
