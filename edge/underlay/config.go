package underlay

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/nat/nat64"
)

// Config is everything an Underlay is made from. It is not changed after New.
// Every field without a default is required.
type Config struct {
	Loop     Loop
	Timers   *timer.Queue // of that loop, which runs them after each event
	Sender   Sender
	Observer Observer
	// Receivers is required where Transports has TURN.
	Receivers Receivers

	// Own are the addresses of this host, and what may be sent to others'.
	Own OwnAddresses
	// STUN are "host:port" of STUN servers besides the supernodes. What is not of
	// that form is logged as a warning and not asked.
	STUN []string
	// TURN are servers that the configuration names, at most four.
	TURN []TURNServer

	Network    LocalNetwork // default: nothing is looked at
	Transports Transports   // default: the data sockets only
	Resolver   Resolver     // default: SystemResolver
	Random     io.Reader    // unpredictable, for STUN transactions; it is read by several goroutines
	// Jitter returns a random duration from 0 to below a bound that is positive.
	Jitter func(below time.Duration) time.Duration
	Log    *slog.Logger // default: discarded
	// Refused counts what was refused, by reason, and reports whether there may be a
	// line about it in the log: strangers can cause most of them. It may be called
	// from any goroutine. Default: nothing is counted, and all is logged.
	Refused func(reason Refusal) (line bool)
}

// OwnAddresses is where a host may be reached as far as it knows itself.
type OwnAddresses struct {
	// Interfaces returns the addresses of this host's interfaces. Required.
	Interfaces func() ([]netip.Addr, error)
	// Routes says to which internet this host has a route past the overlay. It may ask the
	// kernel. Nil: there is one of each family that Interfaces has an address of.
	Routes func() Routes
	// Port is the UDP port of the data sockets.
	Port uint16
	// Static are further addresses at which peers reach us, from the
	// configuration; port 0 is Port.
	Static []netip.AddrPort
	// Payload is the largest UDP payload in bytes that paths want unfragmented.
	Payload int
	// Inside reports whether packets to an address would go into the overlay itself.
	// It may ask the kernel. Nil: nobody tells.
	Inside func(netip.Addr) bool
}

// Routes says to which internet this host has a route past the overlay.
type Routes struct{ IPv4, IPv6 bool }

// LocalNetwork is how an edge learns from the network around it. Where a part is
// nil, that is not looked at.
type LocalNetwork struct {
	// Watch calls changed whenever an address or a route of this host has
	// changed, until ctx ends.
	Watch func(ctx context.Context, changed func()) error
	// Routers calls told with each prefix of a NAT64 that a router advertises, and for how
	// long (RFC 8781), until ctx ends.
	Routers func(ctx context.Context, told func(p nat64.Prefix, lifetime time.Duration)) error
	// LAN finds members on the same LAN without a supernode. It needs Packets.
	LAN LAN
	// Packets seals and opens what is announced there.
	Packets LANPackets
	// Mapper has the router map our UDP port.
	Mapper PortMapper
}

// PortMapper keeps our UDP port mapped on the router (RFC 6887, RFC 6886, UPnP).
type PortMapper interface {
	// Run does so until ctx ends. It calls report with every change: the address
	// by which the internet reaches us, which is not valid when there is none.
	Run(ctx context.Context, report func(external netip.AddrPort))
	// Wake tells that this host's network has changed. It does not block.
	Wake()
}

// Loop is the control loop of the edge.
type Loop interface {
	// Go runs f in a goroutine that has ended before the edge's Run returns; ctx
	// ends when Run is about to return.
	Go(f func(ctx context.Context))
	// Do has the control loop call f with its time. It blocks until the loop has
	// received f, and drops f when the edge ends. It is for functions that Go runs
	// and for what they call, never for the control loop itself.
	Do(f func(now time.Time))
}

// Sender sends by the data socket.
type Sender interface {
	// Send sends one datagram. It may be called from any goroutine, does not
	// block and keeps nothing. What the network refuses is lost.
	Send(to netip.AddrPort, pkt []byte)
}

// Observer is told what an Underlay finds. All methods are called by the control
// loop, and may call the Underlay.
type Observer interface {
	// CandidatesChanged: Addresses.Candidates has a new generation, which peers
	// are to be told.
	CandidatesChanged(now time.Time)
	// MappingClassified: the mapping behaviour of our NATs is m from now on.
	MappingClassified(now time.Time, m address.MappingBehavior)
	// NetworkChanged: addresses or routes of this host have changed, so that
	// direct paths are in doubt and supernodes see us at another address.
	NetworkChanged(now time.Time)
	// MetOnLAN: a member on the same LAN announced a statement, which is not
	// verified yet; its data socket has the address at. It returns whether the
	// statement holds and its edge has not been met there before, so that we are
	// announced to it as well.
	MetOnLAN(now time.Time, statement []byte, at netip.AddrPort) (newcomer bool)
	// STUNAnswered: a server answered by UDP.
	STUNAnswered(now time.Time, server netip.AddrPort)
}

// Receivers passes on what comes to the data sockets from the addresses of TURN
// servers.
type Receivers interface {
	// Receive has datagrams from a server handed to r from now on; nil ends that.
	// It is called by the control loop, which passes r to the data path.
	Receive(now time.Time, server netip.AddrPort, r TURNReceiver)
	// OfPeer reports whether a peer is at an address beyond doubt. What comes from there
	// is the peer's, whatever a supernode says of a TURN server there.
	OfPeer(now time.Time, at netip.AddrPort) bool
}
