package underlay

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/nat/nat64"
)

// nat64Again is after an answer; then the name is looked up again.
const nat64Again = 15 * time.Minute

// NAT64 finds the prefix of the network's NAT64 (RFC 6146) while this host has no route to
// IPv4 addresses but to IPv6 ones, and has all sockets reach them by it. A router
// advertisement that names the prefix (RFC 8781) goes before what ipv4only.arpa tells (RFC
// 7050), as RFC 8781, section 5.1 wants.
type NAT64 struct {
	cfg     *Config
	changed func(now time.Time) // the way to IPv4 addresses is another one
	name    *Name               // ipv4only.arpa
	again   timer.Timer         // looks it up

	wanted     bool
	routes     Routes
	found      nat64.Prefix  // by the name
	advertised nat64.Prefix  // by a router
	doubted    bool          // the network has changed since
	expiry     timer.Timer   // of advertised
	settled    chan struct{} // closed when it is known whether there is one; nil: it is
}

func newNAT64(cfg *Config, names *Names) *NAT64 {
	n := &NAT64{cfg: cfg}
	n.name = names.New("ip6", nat64.Name, n.answered)
	n.name.first = true
	n.again = timer.New(cfg.Timers, "nat64: look up", n.name.LookUp)
	n.expiry = timer.New(cfg.Timers, "nat64: expiry", n.expired)
	return n
}

// Missing returns the IP version that this host has no route for, 4 or 6; 0: it has routes
// for both, or none at all. IPv4 by a NAT64 is as good as a route.
func (n *NAT64) Missing() int {
	switch r := n.routes; {
	case r.IPv6 && !r.IPv4 && !n.cfg.Transports.NAT64.Prefix().IsValid():
		return 4
	case r.IPv4 && !r.IPv6:
		return 6
	}
	return 0
}

// look finds out whether a NAT64 is wanted, and returns what Missing does. host are the
// addresses of the interfaces.
func (n *NAT64) look(now time.Time, host []netip.Addr) int {
	if n.cfg.Own.Routes != nil {
		n.routes = n.cfg.Own.Routes()
	} else {
		n.routes = Routes{IPv4: slices.ContainsFunc(host, netip.Addr.Is4), IPv6: slices.ContainsFunc(host, netip.Addr.Is6)}
	}
	if wanted := n.cfg.Transports.NAT64 != nil && n.routes.IPv6 && !n.routes.IPv4; wanted != n.wanted {
		n.want(now, wanted)
	}
	return n.Missing()
}

// want begins to look for a NAT64, or ends that.
func (n *NAT64) want(now time.Time, wanted bool) {
	if n.wanted = wanted; wanted {
		n.ask(now)
		return
	}
	n.name.stop()
	n.again.Stop()
	n.found = nat64.Prefix{}
	n.settle()
	n.use(now)
}

// networkChanged asks again, since another network may have another prefix. What a router has
// advertised is kept until something else is known: the next advertisement may be far.
func (n *NAT64) networkChanged(now time.Time) {
	n.doubted = n.advertised.IsValid()
	if n.wanted {
		n.ask(now)
	}
}

// ask looks the name up at once.
func (n *NAT64) ask(now time.Time) {
	if n.settled == nil {
		n.settled = make(chan struct{})
	}
	n.name.LookUpAnew(now)
}

// settle lets the look-ups go on that wait.
func (n *NAT64) settle() {
	if n.settled != nil {
		close(n.settled)
		n.settled = nil
	}
}

// answered is called with the addresses of the name. Of several prefixes the one in use
// stays, and so does any while no name server answers.
func (n *NAT64) answered(now time.Time, list []netip.Addr, err error) {
	var dns *net.DNSError
	switch {
	case err == nil:
		n.again.Set(now.Add(nat64Again))
		if found := nat64.Find(list); len(found) == 0 {
			n.found = nat64.Prefix{}
		} else if !slices.Contains(found, n.found) {
			n.found = found[0]
		}
		if n.doubted && n.found.IsValid() && n.found != n.advertised {
			n.forget()
		}
	case errors.As(err, &dns) && dns.IsNotFound:
		n.found = nat64.Prefix{}
	default:
		n.cfg.Log.Debug("no answer about the NAT64", "name", nat64.Name, "err", err)
	}
	n.use(now)
	n.settle()
}

// heard is called with what a router advertises. Of several prefixes the first is used as
// long as it lives.
func (n *NAT64) heard(now time.Time, p nat64.Prefix, lifetime time.Duration) {
	switch {
	case lifetime > 0 && (p == n.advertised || n.doubted || !n.advertised.IsValid()):
		n.advertised, n.doubted = p, false
		n.expiry.Set(now.Add(lifetime))
	case lifetime == 0 && p == n.advertised:
		n.forget()
	}
	n.use(now)
}

// forget forgets what a router has advertised.
func (n *NAT64) forget() {
	n.advertised, n.doubted = nat64.Prefix{}, false
	n.expiry.Stop()
}

// expired forgets what a router has advertised, when its time is over.
func (n *NAT64) expired(now time.Time) {
	n.forget()
	n.use(now)
}

// use has the sockets use the prefix that there is, if one is wanted.
func (n *NAT64) use(now time.Time) {
	p := n.advertised
	if !p.IsValid() {
		p = n.found
	}
	if !n.wanted {
		p = nat64.Prefix{}
	}
	if p == n.cfg.Transports.NAT64.Prefix() {
		return
	}
	n.cfg.Transports.NAT64.Use(p, n.reaches(p))
	if p.IsValid() {
		n.cfg.Log.Info("IPv4 addresses are reached through the NAT64 of this network", "prefix", p)
	} else {
		n.cfg.Log.Info("IPv4 addresses are no longer reached through a NAT64")
	}
	n.settle()
	n.changed(now)
}

// reaches returns which IPv4 addresses a prefix is used for: public ones, and private ones
// where the network has a prefix of its own (RFC 6052, section 3.1) and this host no private
// address by which it might reach them itself.
func (n *NAT64) reaches(p nat64.Prefix) func(netip.Addr) bool {
	if p == nat64.WellKnown {
		return address.Public
	}
	own, err := n.cfg.Own.Interfaces()
	if err != nil || slices.ContainsFunc(own, netip.Addr.Is4) {
		return address.Public
	}
	return func(a netip.Addr) bool { return address.Public(a) || a.IsPrivate() }
}

// inward returns addresses with those of the prefix as the IPv4 addresses that they stand
// for, none twice: a DNS64 makes them up beside those.
func (n *NAT64) inward(list []netip.Addr) (result []netip.Addr) {
	if !n.cfg.Transports.NAT64.Prefix().IsValid() {
		return list
	}
	for _, a := range list {
		a = n.cfg.Transports.NAT64.Inward(netip.AddrPortFrom(a, 0)).Addr()
		if !slices.Contains(result, a) {
			result = append(result, a)
		}
	}
	return result
}
