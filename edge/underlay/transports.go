package underlay

import (
	"context"
	"net/netip"
	"time"

	"hedgerow/transport"
)

// Transports are what an edge needs to send by more than its data sockets. The
// zero value does without: no sockets are opened for NATs that are hard to get
// through, no streams, no TURN.
type Transports struct {
	// Sides give an address to each further transport, so that the rest of the
	// edge knows addresses only. *transport.Sides is one.
	Sides Sides
	// NAT64 says how IPv4 addresses are reached by all sockets, which the Underlay decides.
	// Nil: only by IPv4. It is that of Sides where those are *transport.Sides.
	NAT64 *transport.NAT64
	// Open opens a UDP socket of its own port. receive is called with what comes
	// in, from the socket's goroutine, until Close has returned; it keeps nothing.
	Open func(receive func(from netip.AddrPort, pkt []byte)) (Socket, error)
	// Uplinks returns by which other interfaces this host may reach an IPv4 address than
	// by that which its packets leave by. Nil: none is known. It asks the system.
	Uplinks func(to netip.Addr) []Uplink
	// Dial connects to a supernode by a stream, which lasts until ctx ends; it
	// gives up by itself. deliver is called with every packet that comes, from
	// one goroutine, until Done; it keeps nothing.
	Dial func(ctx context.Context, to StreamPlace, deliver func(pkt []byte)) (Stream, error)
	// TURN makes what can allocate a relayed address on a TURN server, and what
	// reads the server's answers for it; it sends nothing yet. A *turn.Client is
	// both.
	TURN func(TURNConfig) (TURNClient, TURNReceiver, error)
	// Swallowed reports whether the overlay's own device would get what is sent to a
	// server of that name, and tells the user. It is the edge's own.
	Swallowed func(now time.Time, server netip.AddrPort, name string) bool
}

// StreamPlace is where a supernode takes streams.
type StreamPlace struct {
	Host string // a name or a literal address
	Port uint16 // its UDP port
	Path string // of the WebSocket; empty: the usual one
}

// Uplink is an interface of this host that leads to a router.
type Uplink struct {
	Name string
	// Open is Transports.Open for a socket whose packets leave and come in by this
	// interface alone, from its address.
	Open func(receive func(from netip.AddrPort, pkt []byte)) (Socket, error)
}

// Sides gives addresses to transports. Its methods may be called from any
// goroutine.
type Sides interface {
	// Add returns the address of a new transport. send is called for every packet
	// to it; it does not block and keeps nothing.
	Add(send func(pkt []byte)) netip.AddrPort
	// AddEnds returns the prefix of the addresses of a new transport with many far
	// ends, as transport.SideOf makes them. send is called as for Add.
	AddEnds(send func(far netip.AddrPort, pkt []byte)) netip.Prefix
	// Remove ends an address, or all of a prefix: nothing is delivered from there
	// any more.
	Remove(a netip.AddrPort)
	// Deliver hands in a packet that came by the transport with an address.
	Deliver(from netip.AddrPort, pkt []byte)
}

// Socket is a further UDP socket.
type Socket interface {
	// Send sends a packet, with a TTL of its own if that is not 0. What the
	// system refuses is lost. It may be called from any goroutine.
	Send(to netip.AddrPort, ttl uint8, pkt []byte)
	// Close closes the socket and waits for its goroutine.
	Close() error
}

// Stream carries packets to one supernode where UDP does not.
type Stream interface {
	// Send sends a packet; what does not fit into the queue is lost. It does not
	// block and keeps nothing.
	Send(pkt []byte)
	// Done returns a channel that is closed when the stream has ended.
	Done() <-chan struct{}
	// String says how it goes, for the user.
	String() string
	// Close ends the stream and waits for its goroutines. It may be called twice.
	Close()
}

// sockets reports whether further sockets may be opened.
func (t *Transports) sockets() bool { return t.Sides != nil && t.Open != nil }

// IsSide reports whether an address is a side address, which stands for a further
// transport of this edge.
func IsSide(a netip.AddrPort) bool { return transport.IsSide(a.Addr()) }

// FarEnd returns the address outside that a side address stands for, where there is one.
func FarEnd(side netip.AddrPort) (far netip.AddrPort, ok bool) { return transport.FarEnd(side) }
