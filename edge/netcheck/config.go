package netcheck

import (
	"context"
	"io"
	"net/netip"

	"hedgerow/nat/portmap"
)

// Config names the servers to ask and the means. Without a server the report is
// empty.
type Config struct {
	// Supernodes are asked over UDP at the port, and at the next one that they
	// name, and by Dial.
	Supernodes []Server
	// STUN are servers that are asked over UDP only.
	STUN []Server
	// Covers hides what passes between this host and supernodes that have an obfuscation key.
	// It is required where a Server is Obfuscated.
	Covers Covers
	// Host is the machine's sockets and addresses. System returns those of this
	// one.
	Host Host
	// Dial opens a stream to a supernode at a TCP port, closes it, and returns
	// why it could not. Nil: streams are not tried.
	Dial func(ctx context.Context, s Server, port uint16) error
	// Map asks the router for a port mapping, as portmap.Probe does. Nil: it is
	// not asked.
	Map func(ctx context.Context) portmap.Report
}

// Server is a supernode or a STUN server.
type Server struct {
	Name string // as typed
	Host string // a name or a literal address
	Port uint16 // of UDP
	// Obfuscated says that it has an obfuscation key, and Closed that this key is not known
	// here: then nothing is asked, since nothing would be answered.
	Obfuscated, Closed bool
}

// Covers hide STUN under an obfuscation key.
type Covers interface {
	// Add has what passes to and from an address hidden, and from its host's other port.
	Add(server netip.AddrPort)
	// HideIn returns the datagram of size bytes that hides a request, which has CoverLen less
	// at least; nil for an address that was not added.
	HideIn(to netip.AddrPort, request []byte, size int) []byte
	// Show returns the message that a datagram hides, in its place, or nil: it hides none.
	Show(from netip.AddrPort, pkt []byte) []byte
}

// CoverLen is by how many bytes a covered request is longer at least.
const CoverLen = 16

// Host is the part of a machine that the probes need.
type Host struct {
	// Open opens a UDP socket on a port of the system's choice. The network is
	// "udp4" or "udp6".
	Open func(network string) (Conn, error)
	// OpenWhole opens a socket whose datagrams are never fragmented, neither
	// here nor on the path, whatever path MTU the system assumes. Nil: the path
	// MTUs are not measured.
	OpenWhole func(network string) (Conn, error)
	// Lookup returns the addresses of a host.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
	// Source returns the address from which the system sends to another one, and
	// the name of the interface that has it. It sends nothing.
	Source func(to netip.AddrPort) (from netip.Addr, ifname string, err error)
	// Rand is the source of transaction identifiers.
	Rand io.Reader
}

// Conn is a UDP socket. Its methods may be called from several goroutines.
type Conn interface {
	// ReadFrom waits for a datagram. Its only error is that the socket is closed.
	ReadFrom(b []byte) (n int, from netip.AddrPort, err error)
	// WriteTo sends a datagram. A refusal of the system is an error.
	WriteTo(b []byte, to netip.AddrPort) error
	// Port returns the local port.
	Port() uint16
	// Close closes the socket and ends a ReadFrom that waits.
	Close() error
}
