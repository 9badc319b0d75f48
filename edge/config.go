package edge

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// DefaultMTU is the MTU in bytes of a TAP device in routed mode: it fits
// every unicast path over an underlay of 1500 bytes, relayed over IPv6 too.
const DefaultMTU = 1370

// DefaultPriority is the priority of a bridge among those of its segment, that of IEEE
// 802.1Q (table 13-3).
const DefaultPriority = 32768

// Limits of Ethernet.MTU in bytes. IPv6 needs at least the lower one (RFC 8200,
// section 5); the upper one is the largest
// frame that a run of fragments may carry.
const (
	MinMTU = 1280
	MaxMTU = dataplane.MaxMTU
)

const maxSupernodes = protocol.MaxEdgeSupernodes

// Device is the TAP device as an edge uses it, but for its queues.
type Device interface {
	// SetAddress gives the device an address with its prefix length.
	SetAddress(prefix netip.Prefix) error
	// RemoveAddress takes an address from it.
	RemoveAddress(prefix netip.Prefix) error
	// Features says which super-frames the queues take.
	Features() tap.Features
	Close() error
}

// AddressMode says how an edge comes to its IPv4 address.
type AddressMode uint8

const (
	// AddressLease takes what the supernode leases.
	AddressLease AddressMode = iota
	// AddressPrefer asks for one address and takes another if it is held.
	AddressPrefer
	// AddressStatic insists on one address; a clash ends Run with
	// ErrAddressTaken.
	AddressStatic
	// AddressNone leaves the device without an IPv4 address, for a DHCP
	// client or a bridge.
	AddressNone
)

// Address is a mode and, for AddressPrefer and AddressStatic, the address
// with its prefix length.
type Address struct {
	Mode   AddressMode
	Prefix netip.Prefix
	// Allow are IPv4 networks in which a lease is taken though they are public, or
	// collide with a network of this host. Others are taken in private, shared and
	// documentation space only (RFC 1918, 6598, 5737, 2544), and where this host
	// reaches nobody else.
	Allow []netip.Prefix
	// Subnets are the networks behind this edge and others.
	Subnets Subnets
	// Bare leaves the device without any address, the IPv6 one that follows from the
	// identity too: it is a port of a bridge. It needs AddressNone.
	Bare bool
}

// Supernode names one supernode of the community.
type Supernode struct {
	Name string    // as typed, for messages
	Host string    // a name or a literal address
	Port uint16    // UDP port
	Key  *[32]byte // its X25519 static key when pinned by configuration
	// Token is what it is shown to let the edge in, at most protocol.MaxToken bytes;
	// empty: nothing.
	Token []byte
	// User and Password are what it is told to let the edge in, at most protocol.MaxUser
	// and MaxPassword bytes; empty: nothing. They need Key: whoever has another one would
	// learn them.
	User, Password string
	// ObfsKey is the obfuscation key of the supernode, which masks what travels between it
	// and the edge; empty: it has none. It answers no STUN then.
	ObfsKey []byte
}

// Reach says by what an edge reaches the others, besides its own addresses and
// those that supernodes see.
type Reach struct {
	STUN       []string              // "host:port" of extra STUN servers
	TURN       []underlay.TURNServer // for pairs without a direct path
	Advertise  []netip.AddrPort      // further addresses at which peers can reach us; port 0: that of the socket
	StreamOnly bool                  // reach supernodes by streams alone, never by UDP
	NoRelay    bool                  // no frame travels through a supernode
	InheritTOS bool                  // packets have the DSCP of the frames in them
	Padding    dataplane.Padding     // of packets to peers and supernodes, which handshakes do not have
}

// Ethernet says what the edge is on the community's Ethernet.
type Ethernet struct {
	MAC [6]byte // default: derived from the identity
	MTU int     // bytes; default DefaultMTU
	// Bridge says that hosts stand behind the device: frames have other sources, too.
	Bridge bool
	// Filter says which frames are carried; default: all but those between the ends of a
	// cable.
	Filter bridge.Filter
	// Storm is how many broadcasts and multicasts a second one host may send, and peers'
	// hosts to us; 0: bridge.DefaultStorm, negative: any number.
	Storm int
	// Accept says whose hosts, DHCP servers and routers are accepted.
	Accept bridge.Policy
	// Stations bounds the forwarding database; default: bridge.DefaultSize.
	Stations bridge.Size
	// Transparent has every frame go where it would on a cable: a multicast to those, too,
	// whose hosts did not join its group, and every question of ARP and IPv6 neighbour
	// discovery to all members, also if who has the address is known here.
	Transparent bool
	// Priority orders the bridges of one segment, the lowest forwards; default
	// DefaultPriority.
	Priority uint16
	// Hubs are the identities, in order, with which alone the other members of the
	// community exchange frames; none: all do with all, unless the community's file names
	// hubs. All members have to have the same.
	Hubs [][32]byte
	// BPDUs says that a bridge carries the messages of spanning trees to other members.
	BPDUs bool
}

// Config is everything an edge is made from. It is not changed after New.
// A zero field means the default that its comment names.
type Config struct {
	Community *crypto.Community
	Keys      crypto.KeySource // reloads the community; nil: never
	Identity  *crypto.Identity
	Name      string // shown to peers, at most 63 bytes; default: the identity's short form

	Supernodes []Supernode // one to eight
	Reach      Reach
	Address    Address // default: lease
	Ethernet   Ethernet
	Links      Links
	StateDir   string // pins and peers are kept here; empty: nowhere

	// Queues are the pairs of a device queue and a socket. All sockets have one
	// local port; the first one is also the control loop's. Run closes them and
	// the device.
	Queues     []dataplane.Queue
	Device     Device
	Transports underlay.Transports   // what else than the sockets of Queues moves datagrams
	Network    underlay.LocalNetwork // what is learnt from the network around; Packets is the edge's own
	Host       Host
}

// Host is what an edge needs to know of the machine and the process around
// it. Its zero value serves a process; simulations replace its parts.
type Host struct {
	Interface   string                           // name of the device, kept out of the candidates
	Own         Own                              // what of this host leads into the overlay; default: the subnets of the device
	Version     string                           // shown in status
	Notes       []string                         // shown in status: what the user should know of how the edge was started
	Build       time.Time                        // when the program was built: no right clock is before it
	Addresses   func() ([]netip.Addr, error)     // underlay addresses; default: those of the interfaces
	Networks    NetworkFinder                    // finds what a lease collides with; default: the networks of this host are not known
	Resolver    underlay.Resolver                // default: underlay.SystemResolver
	Log         *slog.Logger                     // default: discarded
	Report      func(control.Event)              // called from the control loop; must not block
	ClockOffset time.Duration                    // added to the wall clock, for tests of skewed clocks
	Rand        io.Reader                        // default: crypto/rand
	BootClock   func() (sinceBoot time.Duration) // counts suspension too; default: suspension is not noticed
	Machine     func() string                    // identity of machine and boot, changed by cloning and by being restored elsewhere; default: none
	Watch       Watch                            // what the system tells of; default: nothing
}

// Watch is what the system tells an edge of, and when it looks by itself. Forks and Clock tell
// until ctx ends; the error says that nobody tells, as does nil instead of the function.
type Watch struct {
	// Forks calls forked whenever this machine was restored or cloned with its memory.
	Forks func(ctx context.Context, forked func()) error
	// Clock calls set whenever the wall clock was set or the machine goes on after a
	// suspension.
	Clock func(ctx context.Context, set func()) error
	// Phase is told, before New returns, the phase of the moments at which the loop does what
	// can wait (package deadline), below a minute: who else looks at something now and then
	// had better do so at a multiple of ten seconds from it. Nil: nobody is told.
	Phase func(time.Duration)
}

// NetworkFinder looks for a network of this host, or one that it has a route to, that
// shares addresses with an overlay's; those of the TAP device itself do not count, and
// no default route does. The control loop calls it now and then, so it must not take
// longer than a few milliseconds.
type NetworkFinder func(overlay netip.Prefix) (other Network, ok bool)

// Errors that end Run.
var (
	// ErrAddressTaken: the static address is held by another edge.
	ErrAddressTaken = errors.New("edge: address is taken")
	// ErrScheduleEnded: the key schedule is over and the community says fail.
	ErrScheduleEnded = errors.New("edge: key schedule has ended")
)

func (c *Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Community == nil {
		fault("no community")
	}
	if c.Identity == nil {
		fault("no identity")
	}
	faults = append(faults, c.hubsFault())
	if n := len(c.Supernodes); n < 1 || n > maxSupernodes {
		fault("%d supernodes given, 1 to %d are possible", n, maxSupernodes)
	}
	for _, s := range c.Supernodes {
		faults = append(faults, s.fault())
	}
	if c.Ethernet.MTU != 0 && (c.Ethernet.MTU < MinMTU || c.Ethernet.MTU > MaxMTU) {
		fault("MTU %d is outside %d to %d", c.Ethernet.MTU, MinMTU, MaxMTU)
	}
	if s := c.Ethernet.Stations; s != (bridge.Size{}) {
		faults = append(faults, s.Check())
	}
	faults = append(faults, c.Address.validate()...)
	if c.Ethernet.MAC[0]&1 != 0 {
		fault("%x is a group address, no device can have it", c.Ethernet.MAC)
	}
	faults = append(faults, c.Links.validate(c.Identity)...)
	if len(c.Name) > 63 {
		fault("name %q is longer than 63 bytes", c.Name)
	}
	if c.Device == nil || len(c.Queues) == 0 {
		fault("no device or no queue")
	}
	for i, q := range c.Queues {
		if q.Frames == nil || q.Conn == nil || q.Waiter == nil {
			fault("queue %d is not complete", i)
		}
	}
	return errors.Join(faults...)
}

// fault reports what is wrong with a supernode.
func (s *Supernode) fault() error {
	switch {
	case s.Host == "" || s.Port == 0:
		return fmt.Errorf("supernode %q has no host or port", s.Name)
	case s.Key != nil && !crypto.UsableStatic(*s.Key):
		return fmt.Errorf("the key of supernode %q is none that a supernode can have", s.Name)
	case len(s.Token) > protocol.MaxToken:
		return fmt.Errorf("the token for supernode %q has %d bytes, and %d are the most", s.Name, len(s.Token), protocol.MaxToken)
	case len(s.User) > protocol.MaxUser || len(s.Password) > protocol.MaxPassword:
		return fmt.Errorf("the user name for supernode %q has %d bytes and the password %d, and %d and %d are the most", s.Name, len(s.User), len(s.Password), protocol.MaxUser, protocol.MaxPassword)
	case s.User != "" && s.Key == nil:
		return fmt.Errorf("the user name for supernode %q needs its key: type -l %[1]s#KEY with the key that 'supernode id' prints there. Without it whoever answers in its place would get the password", s.Name)
	}
	return nil
}

// validate returns what is wrong with the choice of addresses.
func (a *Address) validate() (faults []error) {
	if (a.Mode == AddressPrefer || a.Mode == AddressStatic) && !a.Prefix.IsValid() {
		faults = append(faults, errors.New("the address mode needs an address"))
	}
	for _, p := range a.Allow {
		if !p.IsValid() || !p.Addr().Is4() || p.Bits() < shortestLease {
			faults = append(faults, fmt.Errorf("leases cannot be allowed in %v: it is no IPv4 network from /%d on", p, shortestLease))
		}
	}
	if a.Bare && a.Mode != AddressNone {
		faults = append(faults, errors.New("a device without addresses gets no lease"))
	}
	return append(faults, a.Subnets.validate()...)
}

// hubsFault reports what is wrong with the hubs of an option.
func (c *Config) hubsFault() error {
	switch {
	case c.Community == nil || len(c.Ethernet.Hubs) == 0:
		return nil
	case c.Community.Insecure:
		return crypto.ErrOpenHubs
	}
	return errHubs(c.Community, c.Ethernet.Hubs)
}

// withDefaults returns a copy in which every default has been filled in.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = c.Identity.ShortID()
	}
	if c.Ethernet.MTU == 0 {
		c.Ethernet.MTU = DefaultMTU
	}
	if c.Ethernet.Priority == 0 {
		c.Ethernet.Priority = DefaultPriority
	}
	if c.Ethernet.MAC == ([6]byte{}) {
		c.Ethernet.MAC = c.Identity.MAC(c.Community.ID())
	}
	h := &c.Host
	if h.Resolver == nil {
		h.Resolver = underlay.SystemResolver
	}
	if h.Log == nil {
		h.Log = slog.New(slog.DiscardHandler)
	}
	if h.Report == nil {
		h.Report = func(control.Event) {}
	}
	if h.Rand == nil {
		h.Rand = rand.Reader
	}
	if h.Addresses == nil {
		h.Addresses = underlay.InterfaceAddresses(h.Interface)
	}
	return c
}
