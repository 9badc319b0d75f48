package lan

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// The default port and groups.
const (
	// DefaultPort is the UDP port of the groups.
	DefaultPort = 7655
	// MaxPacket is the longest packet in bytes: one that no Ethernet splits.
	MaxPacket = 1400
)

var (
	// DefaultGroup4 is an address of the Local Network Control Block (RFC 5771,
	// section 4) that IANA has not assigned. Switches flood that block whatever
	// they know of members (RFC 4541, section 2.1.2).
	DefaultGroup4 = netip.MustParseAddr("224.0.0.165")
	// DefaultGroup6 is of link-local scope and marked as not assigned by IANA
	// (RFC 4291, section 2.7).
	DefaultGroup6 = netip.MustParseAddr("ff12::6867")
)

// hopLimit is the hop limit of the packets; one with another has passed a
// router.
const hopLimit = 1

// Config says where a Conn announces.
type Config struct {
	// Port is the UDP port of both groups; 0 means DefaultPort. Sockets of
	// other processes may have it too, if they let others.
	Port uint16
	// Group4 and Group6 are the groups, of link-local scope; the zero Addr
	// means DefaultGroup4 and DefaultGroup6.
	Group4, Group6 netip.Addr
	// Exclude reports whether the interface of this name is left out, such as
	// our own TAP device and other tunnels. It is called at every Announce. Nil
	// excludes none.
	Exclude func(ifname string) bool
	// Log gets a line when the set of interfaces changes. Nil means
	// slog.Default().
	Log *slog.Logger
}

// complete fills in the defaults and reports impossible settings.
func (cfg *Config) complete() error {
	if cfg.Port == 0 {
		cfg.Port = DefaultPort
	}
	if !cfg.Group4.IsValid() {
		cfg.Group4 = DefaultGroup4
	}
	if !cfg.Group6.IsValid() {
		cfg.Group6 = DefaultGroup6
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	var errs []error
	if !cfg.Group4.Is4() || !cfg.Group4.IsLinkLocalMulticast() {
		errs = append(errs, fmt.Errorf("the group %s is not in 224.0.0.0/24", cfg.Group4))
	}
	if !cfg.Group6.Is6() || cfg.Group6.Is4In6() || !cfg.Group6.IsLinkLocalMulticast() {
		errs = append(errs, fmt.Errorf("the group %s is not IPv6 multicast of link-local scope", cfg.Group6))
	}
	return errors.Join(errs...)
}

// A Conn announces and hears. Its methods may be called from any goroutine.
type Conn struct {
	cfg      Config
	families []*family
	view     atomic.Pointer[view] // as of the last Announce

	mu     sync.Mutex // held by Announce
	joined []membership
}

// membership is the groups that an Announce has joined and the next one leaves.
type membership struct {
	family *family
	on     net.Interface
}

// Open opens the sockets, of one family if the host has no other, and joins
// nothing: that is done by Announce. The error is that there is no family, or
// that a socket which does not let others has the port.
func Open(cfg Config) (*Conn, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("LAN discovery: %w", err)
	}
	c := &Conn{cfg: cfg}
	c.view.Store(&view{})
	four, err4 := openFamily4(netip.AddrPortFrom(cfg.Group4, cfg.Port))
	six, err6 := openFamily6(netip.AddrPortFrom(cfg.Group6, cfg.Port))
	if err4 == nil {
		c.families = append(c.families, four)
	}
	if err6 == nil {
		c.families = append(c.families, six)
	}
	if len(c.families) == 0 {
		return nil, fmt.Errorf("LAN discovery: cannot listen on UDP port %d: %w", cfg.Port, errors.Join(err4, err6))
	}
	if err := errors.Join(err4, err6); err != nil {
		cfg.Log.Debug("LAN discovery by one address family", "err", err)
	}
	return c, nil
}

// Announce sends pkt, of at most MaxPacket bytes, once on every eligible
// interface over each family, and returns how many packets it sent. It first
// joins the groups there anew. It is no error that no interface is eligible; it
// is one that there are some and that none sent a packet.
//
// An interface is eligible if it is up, supports broadcast, is neither loopback
// nor point-to-point, and is not excluded. Of more than 16, those with an
// address that is not IPv6 link-local come first, and the rest is left out:
// Linux lets a socket join 20 groups.
func (c *Conn) Announce(pkt []byte) (n int, err error) {
	if len(pkt) == 0 || len(pkt) > MaxPacket {
		return 0, fmt.Errorf("LAN discovery: a packet of %d bytes: it has 1 to %d", len(pkt), MaxPacket)
	}
	ifaces, err := eligible(c.cfg.Exclude)
	if err != nil {
		return 0, fmt.Errorf("LAN discovery: cannot list the interfaces: %w", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	errs := c.rejoin(ifaces)
	for _, m := range c.joined {
		if err := m.family.send(&m.on, pkt); err != nil {
			errs = append(errs, fmt.Errorf("%s: send: %w", m.on.Name, err))
			continue
		}
		n++
	}
	if n == 0 && len(errs) > 0 {
		return 0, fmt.Errorf("LAN discovery: %w", errors.Join(errs...))
	}
	return n, nil
}

// rejoin leaves the groups and joins them again on the given interfaces. The
// errors include those of interfaces without an address of a family.
func (c *Conn) rejoin(ifaces []iface) (errs []error) {
	for _, m := range c.joined {
		_ = m.family.leave(&m.on) // fails when the interface was removed
	}
	c.joined = c.joined[:0]
	for _, l := range ifaces {
		for _, f := range c.families {
			if !l.has(f.is4()) {
				continue
			}
			if err := f.join(&l.Interface); err != nil {
				errs = append(errs, fmt.Errorf("%s: join: %w", l.Name, err))
				continue
			}
			c.joined = append(c.joined, membership{f, l.Interface})
		}
	}
	v := newView(ifaces)
	if before := c.view.Swap(v); !before.sameInterfaces(v) {
		c.cfg.Log.Info("LAN discovery", "interfaces", v.list())
	}
	return errs
}

// readPauses bounds how many errors in a row end Serve, and readPause is how
// long it waits after each.
const (
	readPauses = 16
	readPause  = 100 * time.Millisecond
)

// Serve calls heard with the packets that others announce until ctx ends or
// Close is called, and then returns nil. It stops using a family whose socket
// fails, with a warning, and returns the errors when no family is left. It is
// called once. heard is called from one goroutine at a time and may use pkt
// until it returns. The address is the sender's own, with the interface's name
// as its zone when it is IPv6 link-local; its port is the port of announcements
// and not the sender's data port.
//
// Nothing is heard before the first Announce. Serve ignores the packets of this
// Conn, but not those of another Conn on this host.
func (c *Conn) Serve(ctx context.Context, heard func(from netip.AddrPort, pkt []byte)) error {
	stop := context.AfterFunc(ctx, func() {
		for _, f := range c.families {
			f.interrupt()
		}
	})
	defer stop()
	var one sync.Mutex
	results := make(chan error, len(c.families))
	for _, f := range c.families {
		go func() {
			err := c.receive(ctx, f, func(from netip.AddrPort, pkt []byte) {
				one.Lock()
				defer one.Unlock()
				heard(from, pkt)
			})
			if err != nil {
				c.cfg.Log.Warn("LAN discovery hears nothing more by an address family", "group", f.group, "err", err)
			}
			results <- err
		}()
	}
	var errs []error
	for range c.families {
		errs = append(errs, <-results)
	}
	return errors.Join(errs...)
}

// receive is Serve for one family.
func (c *Conn) receive(ctx context.Context, f *family, heard func(netip.AddrPort, []byte)) error {
	// Room for any datagram: Windows reports one that does not fit as an error.
	buf := make([]byte, 1<<16)
	for faults := 0; ; {
		a, err := f.read(buf)
		switch {
		case err == nil:
			faults = 0
			if from, ok := c.accept(f, a); ok {
				heard(from, buf[:a.n])
			}
			continue
		case ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return nil
		}
		if faults++; faults > readPauses {
			return fmt.Errorf("LAN discovery: receive: %w", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(readPause):
		}
	}
}

// accept reports whether an arrival is a packet of another member on a joined
// interface, and returns its source as Serve describes it.
func (c *Conn) accept(f *family, a arrival) (from netip.AddrPort, ok bool) {
	v := c.view.Load()
	ip := a.from.Addr().Unmap().WithZone("")
	if a.n == 0 || a.n > MaxPacket || a.from.Port() == f.port() && v.own[ip] {
		return from, false
	}
	name, joined := v.names[a.ifindex]
	if tellsArrival && (!joined || a.to != f.group.Addr() || a.hops != hopLimit) {
		return from, false
	}
	if ip.Is6() && ip.IsLinkLocalUnicast() {
		if !joined {
			name = a.from.Addr().Zone()
		}
		ip = ip.WithZone(name)
	}
	return netip.AddrPortFrom(ip, a.from.Port()), true
}

// Close leaves the groups and closes the sockets, which ends Serve. Further
// calls return net.ErrClosed.
func (c *Conn) Close() error {
	var errs []error
	for _, f := range c.families {
		errs = append(errs, f.close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("LAN discovery: close: %w", err)
	}
	return nil
}
