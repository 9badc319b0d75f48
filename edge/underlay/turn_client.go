package underlay

import (
	"context"
	"net/netip"
)

// TURNClient holds an allocation on a TURN server (RFC 8656). *turn.Client is one.
type TURNClient interface {
	// Allocate asks for a relayed address.
	Allocate(ctx context.Context) (relayed netip.AddrPort, err error)
	// Permit lets peers send to it, and Write to them.
	Permit(ctx context.Context, peers ...netip.Addr) error
	// Write sends a packet to a peer; it does not block and keeps nothing.
	Write(peer netip.AddrPort, pkt []byte) error
	// Done returns a channel that is closed when the allocation is lost.
	Done() <-chan struct{}
	// Close gives the allocation back, for which it may need a second.
	Close()
}

// TURNReceiver is the end of a TURNClient that the data path sees: it reads what
// the server sends to the data socket. *turn.Client is one.
type TURNReceiver interface {
	// Handle reads a datagram from the server. It may be called from any
	// goroutine, and keeps nothing.
	Handle(from netip.AddrPort, pkt []byte)
}

// TURNConfig is what a TURNClient is made from.
type TURNConfig struct {
	// Server is the server's address, over UDP.
	Server netip.AddrPort
	// User and Password are the long-term credential of RFC 8489, section 9.2.
	User, Password string
	// Send sends a datagram to the server by the data socket. It may be called
	// from any goroutine.
	Send func(to netip.AddrPort, pkt []byte)
	// Receive is called with what a peer sent to the relayed address.
	Receive func(peer netip.AddrPort, pkt []byte)
}

// TURNServer is one that the configuration names.
type TURNServer struct {
	Host           string // a name or an IPv4 address
	Port           uint16
	User, Password string
}
