package supernode

import (
	"context"
	"net/netip"

	"hedgerow/transport"
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

// serveStreams serves the streams. Edges that come by UDP lose nothing when a
// listener fails.
func (s *Server) serveStreams(ctx context.Context) {
	if err := s.cfg.Streams.Serve(ctx); err != nil {
		s.cfg.Log.Error("edges that cannot use UDP can no longer come", "error", err)
	}
}

// sourceOf returns the address by which a sender is counted until it has proved its
// own: the datagram's, and for a stream the address of its connection. The caller
// does not hold s.mu.
func (s *Server) sourceOf(from netip.AddrPort) netip.Addr {
	if transport.IsSide(from.Addr()) && s.cfg.Streams != nil {
		if source := s.cfg.Streams.Source(from); source.IsValid() {
			return source
		}
	}
	return from.Addr()
}

// initSource returns the address by which INITs are counted: the source, except for
// streams that come by a reverse proxy, which share one. Each of those is counted
// by its number, put where an IPv6 address has its network. Their number is bounded,
// and a proxy that is open to everybody has limits of its own.
func initSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	if !transport.IsSide(from.Addr()) || !source.IsPrivate() && !source.IsLoopback() && !source.IsLinkLocalUnicast() {
		return source
	}
	b := from.Addr().As16()
	var own [16]byte
	copy(own[:8], b[8:])
	return netip.AddrFrom16(own)
}

// underlayAddr returns an address as edges are told it: a UDP address as it is, and
// none for a stream.
func underlayAddr(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return netip.AddrPort{}
	}
	return a
}

// admit notes that an authentic packet, or one that was answered, came from an
// address: if a stream has it, the stream is an edge's. The next flush, when no mutex
// is held, admits it.
func (o *outbox) admit(from netip.AddrPort) {
	if transport.IsSide(from.Addr()) {
		o.admitted = append(o.admitted, from)
	}
}

// admitStreams admits the streams that admit noted.
func (s *Server) admitStreams(out *outbox) {
	for _, side := range out.admitted {
		s.cfg.Streams.Admit(side)
	}
	out.admitted = out.admitted[:0]
}
