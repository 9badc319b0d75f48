package supernode

import (
	"context"
	"net/netip"

	"hedgerow/transport"
	"hedgerow/transport/stream"
)

// Streams are the TCP side of a supernode: what edges come by that cannot use UDP.
// *stream.Server is one. Each stream is a side way of Config.Conn, so that its
// packets are datagrams with a side address (transport.IsSide) to all the rest of
// the package. Such an address means something here and now only: no edge is told
// one, and none is stored.
//
// A session over a stream and one over UDP are two. An edge that changes from one
// to the other registers in the new session, and the old one is still read for
// what is on its way (retiredTime). A session may also move between them, as
// between two addresses: by PING and PONG (probe.go).
type Streams interface {
	// Serve takes streams until ctx ends, and has ended them all when it returns.
	Serve(ctx context.Context) error
	// Admit lets the stream with a side address stay: it is an edge's. Without
	// that it ends after 5 s.
	Admit(side netip.AddrPort)
	// Source returns the address that a stream came from, the zero Addr for none.
	Source(side netip.AddrPort) netip.Addr
	// Status returns the present state.
	Status() stream.Status
}

// serveStreams serves the streams. A listener that fails takes nothing from the
// edges that come by UDP.
func (s *Server) serveStreams(ctx context.Context) {
	if err := s.cfg.Streams.Serve(ctx); err != nil {
		s.cfg.Log.Error("edges that cannot use UDP can no longer come", "error", err)
	}
}

// sourceOf returns the address that strangers at an address are counted by: their
// own, and for a stream where its connection came from. The caller does not hold
// s.mu.
func (s *Server) sourceOf(from netip.AddrPort) netip.Addr {
	if transport.IsSide(from.Addr()) && s.cfg.Streams != nil {
		if source := s.cfg.Streams.Source(from); source.IsValid() {
			return source
		}
	}
	return from.Addr()
}

// initSource returns the address that INITs are counted by. It is the source, but
// for streams that come by a reverse proxy, which share one: each of those is
// counted by its number, put where an IPv6 address has its network. Their number
// is bounded, and a proxy that lets strangers through has limits of its own.
func initSource(from netip.AddrPort, source netip.Addr) netip.Addr {
	if !transport.IsSide(from.Addr()) || !source.IsPrivate() && !source.IsLoopback() && !source.IsLinkLocalUnicast() {
		return source
	}
	b := from.Addr().As16()
	var own [16]byte
	copy(own[:8], b[8:])
	return netip.AddrFrom16(own)
}

// shown returns an address as edges are told it: that of a stream as none.
func shown(a netip.AddrPort) netip.AddrPort {
	if transport.IsSide(a.Addr()) {
		return netip.AddrPort{}
	}
	return a
}

// admit notes that an authentic packet, or one that was answered, came from an
// address: if a stream has it, that is an edge's. It is told at the next flush,
// when no mutex is held.
func (o *outbox) admit(from netip.AddrPort) {
	if transport.IsSide(from.Addr()) {
		o.admitted = append(o.admitted, from)
	}
}

// admitStreams tells the streams which of them belong to edges.
func (s *Server) admitStreams(out *outbox) {
	for _, side := range out.admitted {
		s.cfg.Streams.Admit(side)
	}
	out.admitted = out.admitted[:0]
}
