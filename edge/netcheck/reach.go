package netcheck

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"hedgerow/edge/control"
)

// How latency and loss are measured: so many requests, so far apart, and the wait
// for the last answers.
const (
	echoes    = 10
	echoEvery = 100 * time.Millisecond
	echoWait  = time.Second
)

// reach looks a server up and asks it over UDP, at one address of each family
// that this host has.
func (p *probe) reach(ctx context.Context, s Server, r *control.ServerReach) {
	r.Name = s.Name
	if s.Closed {
		r.Problem = "has an obfuscation key, without which it answers nobody: give it with --obfs-key-file FILE"
		return
	}
	targets, problem := p.targets(ctx, s)
	r.Problem = problem
	r.UDP = make([]control.UDPReach, len(targets))
	var asking sync.WaitGroup
	for i, to := range targets {
		asking.Go(func() { r.UDP[i] = p.echo(ctx, to) })
	}
	asking.Wait()
}

// targets returns the first address of each family of a server, IPv4 before IPv6.
// The problem is a sentence without a full stop.
func (p *probe) targets(ctx context.Context, s Server) (list []netip.AddrPort, problem string) {
	var addrs []netip.Addr
	if a, err := netip.ParseAddr(s.Host); err == nil {
		addrs = []netip.Addr{a}
	} else {
		ctx, cancel := context.WithTimeout(ctx, lookupTime)
		defer cancel()
		if addrs, err = p.cfg.Host.Lookup(ctx, s.Host); err != nil {
			return nil, "cannot be resolved: " + err.Error()
		}
	}
	for i := range p.families {
		at := slices.IndexFunc(addrs, func(a netip.Addr) bool { return index(a.Unmap()) == i })
		if at >= 0 && p.families[i].asker != nil {
			to := netip.AddrPortFrom(addrs[at].Unmap(), s.Port)
			if list = append(list, to); s.Obfuscated {
				p.cfg.Covers.Add(to)
			}
		}
	}
	if len(list) == 0 {
		return nil, "has no address of a family that this host has a route for"
	}
	return list, ""
}

// echo measures an address, and then the path's size.
func (p *probe) echo(ctx context.Context, to netip.AddrPort) control.UDPReach {
	f := &p.families[index(to.Addr())]
	e := control.UDPReach{Address: to.String()}
	var other sync.WaitGroup
	var rtts []time.Duration
	answers := make(chan answer, echoes)
	tick := time.NewTicker(echoEvery)
	defer tick.Stop()
	over := time.NewTimer((echoes-1)*echoEvery + echoWait)
	defer over.Stop()
	ask := func() {
		e.Sent++
		_ = f.asker.send(to, form{}, answers) // after a failure the request is lost
	}
	ask()
	for waiting := true; waiting && len(rtts) < echoes; {
		select {
		case got := <-answers:
			if rtts = append(rtts, got.rtt); len(rtts) == 1 {
				p.first <- got
				other.Go(func() { p.askOther(ctx, got) })
			}
			p.observe(got)
		case <-tick.C:
			if e.Sent < echoes {
				ask()
			}
		case <-over.C:
			waiting = false
		case <-ctx.Done():
			waiting = false
		}
	}
	e.Lost = e.Sent - len(rtts)
	other.Wait()
	if len(rtts) > 0 {
		slices.Sort(rtts)
		e.RTTms = milliseconds(rtts[len(rtts)/2])
		e.MTU = p.size(ctx, to)
	}
	return e
}

// askOther asks a server at its other port, if it names one, under which address
// it sees us there (RFC 5780, section 4.3).
func (p *probe) askOther(ctx context.Context, got answer) {
	if got.other == 0 || got.other == got.to.Port() {
		return
	}
	to := netip.AddrPortFrom(got.to.Addr(), got.other)
	if got, ok := p.families[index(to.Addr())].asker.ask(ctx, to, form{}); ok {
		p.observe(got)
	}
}

// httpsPort is the port that firewalls leave open.
const httpsPort = 443

// dial opens streams to a supernode, at the port of HTTPS and at its own.
func (p *probe) dial(ctx context.Context, s Server, r *control.ServerReach) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	ports := []uint16{httpsPort}
	if s.Port != httpsPort {
		ports = append(ports, s.Port)
	}
	streams := make([]control.StreamReach, len(ports))
	var dialling sync.WaitGroup
	for i, port := range ports {
		dialling.Go(func() {
			began := time.Now()
			streams[i].Port = port
			if err := p.cfg.Dial(ctx, s, port); err != nil {
				streams[i].Problem = err.Error()
				return
			}
			streams[i].OpenMS = milliseconds(time.Since(began))
		})
	}
	dialling.Wait()
	r.TLS = streams
}

// askRouter asks the router for port mappings.
func (p *probe) askRouter(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, mapTime)
	defer cancel()
	found := p.cfg.Map(ctx)
	m := &control.PortMapping{Problem: found.Problem}
	if found.Gateway.IsValid() {
		m.Router = found.Gateway.String()
	}
	for _, a := range found.Answers {
		one := control.MappingProtocol{Name: string(a.Protocol), Speaks: a.Speaks, Problem: a.Problem}
		if a.External.IsValid() {
			one.External = a.External.String()
		}
		m.Protocols = append(m.Protocols, one)
	}
	p.report.PortMapping = m
}
