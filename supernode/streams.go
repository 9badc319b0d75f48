package supernode

import (
	"context"
	"net/netip"

	"hedgerow/transport/stream"
)

// Streams are the TCP side of a supernode, for edges that cannot use UDP.
// *stream.Server is one. Each stream has a side address of Config.Conn, so that its
// packets are datagrams with that address (transport.IsSide) to all the rest of
// the package. It names the stream in this process only: no edge is told it, and it
// is not stored.
//
// A session over a stream and one over UDP are two. An edge that changes from one
// to the other registers over the new session, and the old one is still opened for
// packets in flight (retiredTime). A session may also move between them, as
// between two addresses: by PING and PONG (probe.go).
type Streams interface {
	// Serve accepts streams until ctx ends, and has ended them all when it returns.
	Serve(ctx context.Context) error
	// Admit keeps the stream with a side address open: it is an edge's. A stream that
	// is not admitted ends after 5 s.
	Admit(side netip.AddrPort)
	// Source returns the address that a stream came from, the zero Addr for none.
	Source(side netip.AddrPort) netip.Addr
	// Status returns the present state.
	Status() stream.Status
}
