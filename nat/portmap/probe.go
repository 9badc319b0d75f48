package portmap

import (
	"context"
	"fmt"
	"net"
	"net/netip"
)

// A Report is the result of Probe.
type Report struct {
	// Gateway is the router that was asked, and Local our address towards it.
	// Both are not valid when there is no router, as Problem says.
	Gateway, Local netip.Addr
	// Problem is the reason why no router was asked; it is empty when one was.
	Problem string
	// Answers has one entry for each protocol that is not off, the better one
	// first.
	Answers []Answer
}

// An Answer is how a router speaks a protocol.
type Answer struct {
	// Protocol is the one that it is about.
	Protocol Protocol
	// Speaks is whether the router answered by it.
	Speaks bool
	// External is the public address and port that the router mapped for a
	// moment. It is not valid when the router refused, as Problem says.
	External netip.AddrPort
	// Problem is as in Mapping.
	Problem string
}

// Probe asks the router by every protocol, makes a mapping by each that answers,
// and deletes it again, for a user who wants to know the router's abilities. It
// maps a port of its own, which nothing else uses, so that it does not touch a
// mapping of an edge on this host; cfg.Port does not matter. It needs up to 10 s
// for each protocol; when ctx ends, the rest is reported as not answered.
func Probe(ctx context.Context, cfg Config) Report {
	m, err := newMapper(cfg)
	if err != nil {
		return Report{Problem: err.Error()}
	}
	return m.probe(ctx)
}

func (m *Mapper) probe(ctx context.Context) Report {
	r, err := m.router()
	if err != nil {
		return Report{Problem: err.Error()}
	}
	report := Report{Gateway: r.gateway, Local: r.local}
	held, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(r.local, 0)))
	if err != nil {
		report.Problem = fmt.Sprintf("cannot take a port to map: %v", err)
		return report
	}
	defer held.Close()
	port := held.LocalAddr().(*net.UDPAddr).AddrPort().Port()

	findings, done := m.find(ctx, r)
	defer done()
	results := make([]finding, len(m.speakers))
	for range m.speakers {
		f := <-findings
		results[f.speaker] = f
	}
	// One after the other: to many routers they are about one mapping.
	for i, f := range results {
		a := Answer{Protocol: m.speakers[i].protocol(), Speaks: f.err == nil || !isSilent(f.err)}
		err := f.err
		if err == nil {
			a.External, err = try(ctx, r, f.service, port)
		}
		if err != nil {
			a.Problem = problem(err, r.gateway)
		}
		report.Answers = append(report.Answers, a)
	}
	return report
}

// try maps a port and deletes the mapping.
func try(ctx context.Context, r router, s service, port uint16) (netip.AddrPort, error) {
	l, err := newLease(ctx, r, "", s, port)
	if err != nil {
		return netip.AddrPort{}, err
	}
	l.release(ctx)
	return l.grant.external, nil
}
