package supernode

import (
	"context"
	"net/netip"
	"time"

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
	// Admit lets the stream with a side address stay until a time after it was
	// opened: an edge has begun to make itself known there. A stream that is not
	// admitted ends after 5 s.
	Admit(side netip.AddrPort, sinceOpened time.Duration)
	// Keep lets the stream stay for a time from now on: a registered edge is there.
	Keep(side netip.AddrPort, longer time.Duration)
	// Source returns the address that a stream came from, the zero Addr for none.
	Source(side netip.AddrPort) netip.Addr
	// Status returns the present state.
	Status() stream.Status
}

// How far a stream has got.
type streamProgress uint8

const (
	streamHello      streamProgress = iota // a HELLO came by it
	streamSession                          // a session was confirmed by it
	streamRegistered                       // a registered edge sends by it
)

// Times of streams, so that no stranger keeps one by asking now and then: those before
// a registration count from the opening of the stream.
const (
	streamHelloTime   = 15 * time.Second
	streamSessionTime = 90 * time.Second
	// streamKeepTime is how long a stream stays after the last authentic packet of a
	// registered edge, which sends a keepalive every 20 s. It is told every
	// streamKeepPause.
	streamKeepTime  = offlineTime
	streamKeepPause = 15 * time.Second
)

// stay is a stream that may stay for what came by it.
type stay struct {
	side     netip.AddrPort
	progress streamProgress
}
