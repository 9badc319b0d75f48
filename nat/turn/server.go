package turn

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync/atomic"
	"time"
)

// ServerConfig is the configuration of a Server. A zero field means the default
// that its comment names.
type ServerConfig struct {
	// Conn is the UDP socket that clients talk to. Required; Close closes it,
	// and so does NewServer when it fails.
	Conn net.PacketConn
	// Address is the IPv4 address of this machine as the internet sees it;
	// clients get it. Required.
	Address netip.Addr
	// Bind is the local IPv4 address that relays are bound to. Default: all.
	Bind netip.Addr
	// Ports are the first and the last port of relays. Default: 49152 to 65535
	// (RFC 8656, section 7.2).
	Ports [2]uint16
	// Secret is the secret from which Credentials made users and passwords.
	// Required, at least 16 bytes.
	Secret []byte
	// Realm is a name for the server that users see: 1 to 127 bytes of printable
	// ASCII without quotes. Default: "turn".
	Realm string
	// Allowed says whether the identity of a credential may exchange datagrams
	// with a peer. It is called after addresses that no client may send to have
	// been refused: see the method permits. Required.
	Allowed func(identity string, peer netip.Addr) bool
	// Spend is told of datagrams that have left for an identity and of their bytes, when they are
	// 64 KiB and when an allocation ends, and says whether more may. If not they are dropped,
	// and it is asked again after a second. Nil: as many as there are may.
	Spend func(identity string, datagrams, bytes int) (more bool)
	// Limits bound the clients' use of the server.
	Limits ServerLimits
	// Listen opens the socket of a relay. Default: net.ListenUDP for IPv4.
	Listen func(local netip.AddrPort) (net.PacketConn, error)
	// Log gets a line for each allocation, at level debug. Default: discarded.
	Log *slog.Logger
}

// ServerLimits bounds the clients' use of the server. A zero field means the
// default that its comment names.
type ServerLimits struct {
	// PerIdentity is how many allocations an identity may have. Default: 2, so
	// that an edge which changes its network needs not wait for its old one to
	// end.
	PerIdentity int
	// Allocations is how many there may be. Default: 1024.
	Allocations int
	// Rate is how many bytes of data a second may pass in each direction of an
	// allocation; as many may pass at once. Default: 12 500 000 (100 Mbit/s).
	Rate float64
}

const minSecret = 16 // bytes

func (c *ServerConfig) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Conn == nil {
		fault("no socket")
	} else if !addrPort(c.Conn.LocalAddr()).IsValid() {
		fault("the socket of a TURN server has to be one of UDP")
	}
	if !c.Address.Is4() || c.Address.IsUnspecified() {
		fault("the address that clients are told has to be an IPv4 address of this machine")
	}
	if c.Bind.IsValid() && !c.Bind.Is4() {
		fault("the address that relays are bound to has to be IPv4")
	}
	if c.Ports[0] > c.Ports[1] || c.Ports[0] == 0 && c.Ports[1] != 0 {
		fault("the ports of relays are not a range: %d to %d", c.Ports[0], c.Ports[1])
	}
	if len(c.Secret) < minSecret {
		fault("the secret is shorter than %d bytes", minSecret)
	}
	if len(c.Realm) > 127 || printable([]byte(c.Realm[:min(len(c.Realm), 64)])) != c.Realm[:min(len(c.Realm), 64)] {
		fault("the realm is not a short text")
	}
	if c.Allowed == nil {
		fault("no rule about peers")
	}
	if l := c.Limits; l.PerIdentity < 0 || l.Allocations < 0 || l.Rate < 0 {
		fault("a limit is negative")
	}
	return errors.Join(faults...)
}

func (c ServerConfig) withDefaults() ServerConfig {
	if !c.Bind.IsValid() {
		c.Bind = netip.IPv4Unspecified()
	}
	if c.Ports == [2]uint16{} {
		c.Ports = [2]uint16{49152, 65535}
	}
	if c.Realm == "" {
		c.Realm = "turn"
	}
	if c.Listen == nil {
		c.Listen = func(local netip.AddrPort) (net.PacketConn, error) {
			return net.ListenUDP("udp4", net.UDPAddrFromAddrPort(local))
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	l := &c.Limits
	if l.PerIdentity == 0 {
		l.PerIdentity = 2
	}
	if l.Allocations == 0 {
		l.Allocations = 1024
	}
	if l.Rate == 0 {
		l.Rate = 12.5e6
	}
	return c
}

// Server is a TURN server over UDP for clients with a credential of its secret.
// An answer to a stranger is never longer than the request, so a client makes its
// first one long enough (this package's do); it does not answer Binding requests.
type Server struct {
	cfg         ServerConfig
	gate        *gate
	allocations *allocations
	library     io.Closer
	applicant   applicant // of the datagram that is being handled; read and set by one goroutine
	counters    serverCounters
}

// applicant is the claimed sender of a datagram. When pion opens a relay socket
// or asks about a peer it has checked the password.
type applicant struct {
	client   netip.AddrPort
	identity string
}

type serverCounters struct {
	admitted, dropped, refused, limited atomic.Uint64
}

// ServerStats are the counters of a Server.
type ServerStats struct {
	Allocations int    `json:"allocations"` // at present
	Admitted    uint64 `json:"admitted"`    // datagrams from clients that were handled
	Dropped     uint64 `json:"dropped"`     // datagrams that are malformed, of strangers, or too many
	Refused     uint64 `json:"refused"`     // allocations, users and peers that were refused
	Limited     uint64 `json:"limited"`     // datagrams that exceeded the rate of their allocation
}

// NewServer starts a server; Close ends it. The error names every fault of cfg.
func NewServer(cfg ServerConfig) (*Server, error) {
	if err := cfg.validate(); err != nil {
		if cfg.Conn != nil {
			_ = cfg.Conn.Close()
		}
		return nil, err
	}
	cfg = cfg.withDefaults()
	s := &Server{cfg: cfg, allocations: newAllocations(cfg.Limits)}
	s.gate = newGate(cfg.Conn, s.allocations, &s.counters)
	var err error
	if s.library, err = servePion(cfg.Realm, s.gate, s); err != nil {
		_ = cfg.Conn.Close()
		return nil, fmt.Errorf("start the TURN server: %w", err)
	}
	return s, nil
}

// Close ends all allocations and returns when nothing reads or writes any more.
// It may be called twice.
func (s *Server) Close() error {
	err := s.library.Close()
	<-s.gate.ended
	s.allocations.wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Stats returns the server's counters.
func (s *Server) Stats() ServerStats {
	c := &s.counters
	return ServerStats{
		Allocations: s.allocations.count(),
		Admitted:    c.admitted.Load(), Dropped: c.dropped.Load(),
		Refused: c.refused.Load(), Limited: c.limited.Load(),
	}
}

// authenticate returns the password of a user whose time has not passed. An
// allocation belongs to the identity that made it (RFC 8656, section 5).
func (s *Server) authenticate(user, realm string, client netip.AddrPort) (password string, ok bool) {
	identity, ok := identityOf(user, time.Now())
	r := s.allocations.of(client)
	if !ok || realm != s.cfg.Realm || r != nil && r.identity != identity || r == nil && !s.gate.unproved.proved() {
		s.counters.refused.Add(1)
		return "", false
	}
	s.applicant = applicant{client: client, identity: identity}
	return passwordOf(s.cfg.Secret, user), true
}
