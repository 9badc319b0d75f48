package underlay

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/nat/address"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// lookEvery is how often our own interfaces are looked at again, in case a change
// was not told.
const lookEvery = 30 * time.Second

// Addresses are the underlay addresses under which peers may reach us (candidates,
// RFC 8445, section 5.1.1), and the rules by which we probe theirs.
type Addresses struct {
	cfg    *Config
	looked func(now time.Time, host []netip.Addr) (missing int) // which IP version, 4 or 6; 0: none
	policy address.Policy
	budget *address.Budget

	sources   address.Sources   // without what others see
	reflexive address.Reflexive // what servers see
	byPeers   address.Reflexive // what peers see on direct paths, where no server sees as much

	list    []address.Candidate
	gen     uint32
	mapping address.MappingBehavior

	moved func(now time.Time, since time.Duration) // a server sees us at another port

	again timer.Timer // looks at the interfaces
	tell  timer.Timer // tells the observer, at the end of the event that changed the list
}

func newAddresses(cfg *Config) *Addresses {
	a := &Addresses{cfg: cfg, budget: address.NewBudget()}
	a.policy = address.Policy{Payload: cfg.Own.Payload, PingLen: protocol.PingDatagramLen + protocol.MinPingPad, Side: transport.SidePrefix(), Outside: FarEnd, Inside: cfg.Own.Inside}
	a.sources = address.Sources{Port: cfg.Own.Port}
	for _, s := range cfg.Own.Static {
		a.sources.Static = append(a.sources.Static, netip.AddrPortFrom(s.Addr(), cmp.Or(s.Port(), cfg.Own.Port)))
	}
	a.again = timer.New(cfg.Timers, "addresses: look", a.look)
	a.tell = timer.New(cfg.Timers, "addresses: tell", cfg.Observer.CandidatesChanged)
	return a
}

// InterfaceAddresses returns a function for OwnAddresses.Interfaces: the addresses
// of all interfaces but the overlay's own device.
func InterfaceAddresses(device string) func() ([]netip.Addr, error) {
	return func() ([]netip.Addr, error) {
		return address.OfInterfaces(func(ifname string) bool { return ifname == device })
	}
}

// Policy returns the rules for probing, which all paths of the edge share.
func (a *Addresses) Policy() *address.Policy { return &a.policy }

// Budget returns what may be sent to addresses that never answered, which all
// paths of the edge share.
func (a *Addresses) Budget() *address.Budget { return a.budget }

// Mapping returns how our NATs map, as the observer was told last.
func (a *Addresses) Mapping() address.MappingBehavior { return a.mapping }

// Candidates returns the CAND message of the present generation.
func (a *Addresses) Candidates() protocol.Candidates {
	m := protocol.Candidates{Gen: a.gen}
	for _, c := range a.list {
		m.List = append(m.List, protocol.Candidate{Kind: uint8(c.Kind), Addr: c.Addr})
	}
	return m
}

// HostCandidates returns the candidates that are addresses of our own interfaces.
func (a *Addresses) HostCandidates() []netip.AddrPort {
	var list []netip.AddrPort
	for _, c := range a.list {
		if c.Kind == address.KindHost {
			list = append(list, c.Addr)
		}
	}
	return list
}

// Forbid keeps a subnet, which leads back into an overlay, out of the candidates
// and out of what is probed.
func (a *Addresses) Forbid(now time.Time, prefix netip.Prefix) {
	if !slices.Contains(a.policy.Forbidden, prefix) {
		a.policy.Forbidden = append(a.policy.Forbidden, prefix)
		a.gather(now)
	}
}

// Allow ends what Forbid began: the subnet leads into no overlay any more.
func (a *Addresses) Allow(now time.Time, prefix netip.Prefix) {
	if i := slices.Index(a.policy.Forbidden, prefix); i >= 0 {
		// Paths read the slice without a copy: what they have stays as it was.
		a.policy.Forbidden = slices.Delete(slices.Clone(a.policy.Forbidden), i, i+1)
		a.gather(now)
	}
}

// SetSupernodes says which addresses are supernodes': they are never probed.
func (a *Addresses) SetSupernodes(list []netip.AddrPort) { a.policy.Supernodes = list }

// Observed notes under which address a server sees us. What it saw through a side
// address is none of ours.
func (a *Addresses) Observed(now time.Time, server, seen netip.AddrPort) {
	if !seen.IsValid() || seen.Addr().IsUnspecified() || IsSide(server) {
		return
	}
	if since, moved := a.reflexive.Moved(now, server, seen); moved {
		a.moved(now, since)
	}
	if a.reflexive.Observe(now, server, seen) {
		a.again.Set(now)
	}
}

// ObservedByPeer notes under which public address a peer sees us. It counts only while no
// server sees one of that family, as where the only supernode is on our own LAN: a peer may
// say what it likes.
func (a *Addresses) ObservedByPeer(now time.Time, from, seen netip.AddrPort) {
	if IsSide(from) || !address.Public(from.Addr()) || !address.Public(seen.Addr()) {
		return
	}
	if first := len(a.byPeers.List(now)) == 0; a.byPeers.Observe(now, from, seen) && first {
		a.again.Set(now)
	}
}

// maxByPeers is how many addresses of one family count on the word of peers.
const maxByPeers = 2

// seen returns at which addresses others see us: servers, and peers for each family of
// which no server sees a public address.
func (a *Addresses) seen(now time.Time) []netip.AddrPort {
	list := a.reflexive.List(now)
	told := a.byPeers.Common(now)
	for _, four := range []bool{true, false} {
		other := func(x netip.AddrPort) bool { return x.Addr().Is4() != four || !address.Public(x.Addr()) }
		if slices.ContainsFunc(list, func(x netip.AddrPort) bool { return !other(x) }) {
			continue
		}
		more := slices.DeleteFunc(slices.Clone(told), other)
		list = append(list, more[:min(len(more), maxByPeers)]...)
	}
	return list
}

// look lists the addresses of our interfaces again.
func (a *Addresses) look(now time.Time) {
	a.again.Set(a.policy.Next(now, lookEvery))
	if host, err := a.cfg.Own.Interfaces(); err != nil {
		a.cfg.Log.Warn("cannot list the addresses of this host", "err", err)
	} else {
		a.sources.Host = host
	}
	a.policy.Missing = a.looked(now, a.sources.Host)
	a.policy.NAT64 = a.cfg.Transports.NAT64.Prefix()
	a.gather(now)
	if m := a.reflexive.Mapping(); m != a.mapping {
		a.mapping = m
		a.cfg.Observer.MappingClassified(now, m)
	}
}

// gather makes the list of candidates anew, and has the observer told if it is
// another one.
func (a *Addresses) gather(now time.Time) {
	s := a.sources
	s.Reflexive = a.seen(now)
	list := address.Gather(s, &a.policy)
	if slices.Equal(list, a.list) {
		return
	}
	a.list = list
	a.gen++
	a.cfg.Log.Debug("our candidates", "generation", a.gen, "list", list)
	a.tell.Set(now)
}

// forget drops what others saw before this host's network changed, and looks at
// the interfaces at once.
func (a *Addresses) forget(now time.Time) {
	a.reflexive.Forget()
	a.byPeers.Forget()
	a.look(now)
}

// setMapped replaces the address that the router maps to us; one that is not valid
// says that there is none.
func (a *Addresses) setMapped(now time.Time, external netip.AddrPort) {
	a.sources.Mapped = nil
	if external.IsValid() {
		a.sources.Mapped = []netip.AddrPort{external}
	}
	a.gather(now)
}

// setRelayed replaces the addresses that are allocated to us on TURN servers.
func (a *Addresses) setRelayed(now time.Time, list []netip.AddrPort) {
	a.sources.TURN = list
	a.gather(now)
}
