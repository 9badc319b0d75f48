package supernode

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/quota"
	"hedgerow/transport"
)

// Conn is the underlay socket. See package transport for its promises.
type Conn interface {
	// ReadBatch reads the datagrams that have arrived, perhaps none. It never blocks.
	ReadBatch(datagrams []transport.Datagram) (int, error)
	// WriteBatch sends datagrams; it keeps none of their buffers.
	WriteBatch(datagrams []transport.Datagram) (int, error)
	// Wait blocks until ReadBatch may find something, and returns net.ErrClosed
	// after Close.
	Wait() error
	// LocalAddr returns the address that the socket is bound to.
	LocalAddr() netip.AddrPort
	// Close ends a blocked Wait.
	Close() error
}

// Config is everything a supernode is made from. It is not changed after New.
// A zero field means the default that its comment names.
type Config struct {
	Conn Conn // required; Run closes it
	// Alternate is a second socket of the same host, where only STUN is spoken:
	// it lets edges find out how their NATs map. Nil: none. Run closes it.
	Alternate Conn
	// Streams have side addresses of Conn, which is a transport.MuxReader then: edges
	// come by them where UDP is blocked. Nil: none. Run serves them.
	Streams Streams
	// TURN is the TURN server beside the supernode. Nil: none.
	TURN     *TURN
	Identity *crypto.Identity // default: the one kept in StateDir, made there at the first start
	StateDir string           // keeps identity, boot count and registrations; empty: nothing is kept
	Pool     netip.Prefix     // IPv4 addresses leased to every community, /8 to /30; default: a /18 of 10.64.0.0/10 by community
	Limits   Limits           // default: every default of Limits
	Rules    *admission.Rules // who may register; default: everybody. SetRules replaces them
	Proofs   admission.Proofs // admit whom no rule does; default: nothing
	Log      *slog.Logger     // default: discarded
	Rand     io.Reader        // default: crypto/rand
	Now      func() time.Time // wall clock; default: time.Now
	Version  string           // shown in status
	Cover    Cover            // what a stranger may find out
}

// Cover says what a stranger may find out of a supernode. The zero value hides nothing.
type Cover struct {
	// ObfsKey is the obfuscation key, without which a datagram gets no answer of any kind;
	// empty: there is none. The paths of Config.Streams depend on it, too.
	ObfsKey []byte
	// HelloOff says that an edge must know the supernode's key beforehand.
	HelloOff bool
}

// Limits bounds what edges and other senders may cause. A zero field means the
// default that its comment names.
type Limits struct {
	Communities int // communities with a registration; default 65 536
	Edges       int // registrations over all communities; default 131 072
	Guests      int // sessions without a registration, unconfirmed ones included; default 16 384

	CommunityEdges int // registrations of one community; default: Edges
	SourceEdges    int // registrations from one IPv4 address or IPv6 /64, twice as many from each network around it; default: Edges/64, but 256 at least

	// InitRate is the number of INITs a second from which on a cookie is
	// asked for; default 1000. Negative: always.
	InitRate int

	EdgeBytes       float64 // unicast bytes relayed a second for one edge; default 1e9
	CommunityBytes  float64 // the same for one community; default 4e9
	EdgeFloods      float64 // copies of floods a second that leave for one edge (static key); default 25 000
	SourceFloods    float64 // the same for all edges at one IPv4 address or IPv6 /64; default 50 000
	CommunityFloods float64 // the same for one community; default 250 000
	// LineBytes is how many bytes leave in a second for all that is relayed, with the
	// headers of IP and UDP. Communities share them equally when more is sent, and so do the
	// edges of one. Default: no limit.
	LineBytes float64
	// Month is how many bytes leave in a calendar month for what is relayed, with the headers
	// of IP and UDP. Default: no limit, and with one of all parts of it (quota.Limits.Defaults).
	Month quota.Limits
}

// The ceilings of the tables.
const (
	defaultCommunities = 65536
	defaultEdges       = 131072
	defaultGuests      = 16384
)

func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Conn == nil {
		fault("no socket")
	}
	if c.Identity == nil && c.StateDir == "" {
		fault("neither an identity nor a state directory that keeps one")
	}
	faults = append(faults, CheckPool(c.Pool), c.TURN.validate())
	l := c.Limits
	if l.Communities < 0 || l.Edges < 0 || l.Guests < 0 || l.CommunityEdges < 0 || l.SourceEdges < 0 {
		fault("a table's ceiling is negative")
	}
	if l.EdgeBytes < 0 || l.CommunityBytes < 0 || l.EdgeFloods < 0 || l.SourceFloods < 0 || l.CommunityFloods < 0 || l.LineBytes < 0 {
		fault("a relay budget is negative")
	}
	return errors.Join(faults...)
}

// CheckPool says what is wrong with a prefix as Config.Pool. The zero prefix,
// which stands for the default, is right.
func CheckPool(p netip.Prefix) error {
	switch {
	case p == netip.Prefix{}:
		return nil
	case !p.IsValid() || !p.Addr().Is4():
		return fmt.Errorf("pool %v is not an IPv4 network", p)
	case p.Bits() < 8 || p.Bits() > 30:
		return fmt.Errorf("pool %v has a prefix length outside 8 to 30", p)
	case p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsUnspecified():
		return fmt.Errorf("pool %v holds no addresses of hosts", p)
	}
	return nil
}

// withDefaults returns a copy in which every default has been filled in but
// the identity.
func (c Config) withDefaults() Config {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Rules == nil {
		c.Rules, _ = admission.NewRules() // of none: there is nothing to fail
	}
	c.Pool = c.Pool.Masked()
	c.Limits = c.Limits.withDefaults()
	return c
}

func (l Limits) withDefaults() Limits {
	setInt := func(v *int, def int) {
		if *v == 0 {
			*v = def
		}
	}
	setRate := func(v *float64, def float64) {
		if *v == 0 {
			*v = def
		}
	}
	setInt(&l.Communities, defaultCommunities)
	setInt(&l.Edges, defaultEdges)
	setInt(&l.Guests, defaultGuests)
	setInt(&l.CommunityEdges, l.Edges)
	setInt(&l.SourceEdges, max(l.Edges/sourceEdgesPart, sourceEdgesLeast))
	setInt(&l.InitRate, 1000)
	setRate(&l.EdgeBytes, 1e9)
	setRate(&l.CommunityBytes, 4e9)
	setRate(&l.EdgeFloods, 25000)
	setRate(&l.SourceFloods, 50000)
	setRate(&l.CommunityFloods, 250000)
	l.Month = l.Month.Defaults()
	return l
}
