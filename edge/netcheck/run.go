package netcheck

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/address"
)

// How long the parts may last. Most are over after one second.
const (
	wholeRun   = 4800 * time.Millisecond
	lookupTime = 2 * time.Second
	dialTime   = 4 * time.Second
	// mapTime leaves the router a second to delete mappings, and is longer than
	// portmap waits for a silent router.
	mapTime = 3 * time.Second
)

// Run measures and returns its results. It needs five seconds at most, less if
// ctx ends before, and has joined every goroutine that it started.
func Run(ctx context.Context, cfg Config) control.Netcheck {
	ctx, cancel := context.WithTimeout(ctx, wholeRun)
	defer cancel()
	p := &probe{cfg: cfg, first: make(chan answer, 2*(len(cfg.Supernodes)+len(cfg.STUN)))}
	p.families[0] = p.open("udp4", defaultTarget4)
	p.families[1] = p.open("udp6", defaultTarget6)
	defer p.close()
	servers := slices.Concat(cfg.Supernodes, cfg.STUN)
	p.report.Servers = make([]control.ServerReach, len(servers))

	// Once the probes of servers over UDP have ended, first is closed, so that
	// the others do not wait for an answer that will not come.
	var asking, rest sync.WaitGroup
	for i, s := range servers {
		asking.Go(func() { p.reach(ctx, s, &p.report.Servers[i]) })
		if i < len(cfg.Supernodes) && cfg.Dial != nil && !s.Closed {
			rest.Go(func() { p.dial(ctx, s, &p.report.Servers[i]) })
		}
	}
	rest.Go(func() { p.classify(ctx) })
	if cfg.Map != nil {
		rest.Go(func() { p.askRouter(ctx) })
	}
	asking.Wait()
	close(p.first)
	rest.Wait()
	p.conclude()
	return p.report
}

// probe is one run. Each goroutine writes to its own part of the report.
type probe struct {
	cfg      Config
	families [2]family   // IPv4 and IPv6
	first    chan answer // the first one of each address; closed when there will be no more
	report   control.Netcheck
	nat      findings

	mu   sync.Mutex
	seen [2]sightings
}

// family is how one family of addresses is used.
type family struct {
	asker  *asker // the asker whose mappings are compared; nil without a route
	whole  *asker // for sizes; nil: not measured
	source netip.Addr
	ifname string
}

// sightings are under which addresses servers see the family's first socket.
type sightings struct {
	mapping address.Reflexive
	public  []netip.AddrPort
}

// Where the default routes lead, of addresses to which nothing is sent.
var (
	defaultTarget4 = netip.MustParseAddrPort("192.0.2.1:9")
	defaultTarget6 = netip.MustParseAddrPort("[2000::1]:9")
)

// open opens the sockets of a family if there is a route.
func (p *probe) open(network string, target netip.AddrPort) family {
	h := &p.cfg.Host
	source, ifname, err := h.Source(target)
	if err != nil {
		return family{}
	}
	conn, err := h.Open(network)
	if err != nil {
		return family{}
	}
	f := family{source: source, ifname: ifname, asker: newAsker(conn, p.cfg.Covers, h.Rand)}
	if h.OpenWhole != nil {
		if conn, err := h.OpenWhole(network); err == nil {
			f.whole = newAsker(conn, p.cfg.Covers, h.Rand)
		}
	}
	return f
}

func (p *probe) close() {
	for _, f := range p.families {
		for _, a := range []*asker{f.asker, f.whole} {
			if a != nil {
				a.close()
			}
		}
	}
}

// index returns the place of an address's family.
func index(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// observe notes under which address a server sees us.
func (p *probe) observe(got answer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &p.seen[index(got.to.Addr())]
	s.mapping.Observe(time.Now(), got.to, got.seen)
	if !slices.Contains(s.public, got.seen) {
		s.public = append(s.public, got.seen)
	}
}

// conclude fills in the fields that follow from the others.
func (p *probe) conclude() {
	r := &p.report
	for i, u := range []*control.Underlay{&r.IPv4, &r.IPv6} {
		f := &p.families[i]
		if f.asker == nil {
			continue
		}
		u.Address, u.Interface = f.source.String(), f.ifname
		for _, a := range p.seen[i].public {
			if text := a.Addr().String(); !slices.Contains(u.Public, text) {
				u.Public = append(u.Public, text)
			}
		}
	}
	mapping := p.seen[0].mapping.Mapping()
	if public := p.seen[0].public; len(public) > 0 {
		own := netip.AddrPortFrom(p.families[0].source, p.families[0].asker.conn.Port())
		r.NAT = p.nat.document(mapping, slices.ContainsFunc(public, func(a netip.AddrPort) bool { return a != own }))
	}
	judge(r, mapping)
}

// milliseconds returns a time as documents have it.
func milliseconds(d time.Duration) *float64 {
	ms := float64(d) / float64(time.Millisecond)
	return &ms
}
