package netcheck

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"hedgerow/edge/control"
	"hedgerow/nat/address"
	"hedgerow/nat/stun"
)

// findings are the results of classify.
type findings struct {
	filtering string
	ports     string
	sample    []uint16
	returned  *bool // whether a packet to our own public address came back; nil: not tried
}

// document puts findings into words, with how the NATs map and whether there are
// any.
func (f *findings) document(mapping address.MappingBehavior, present bool) *control.NAT {
	n := &control.NAT{Present: present, Filtering: f.filtering, Ports: f.ports, Sample: f.sample, Mapping: control.MappingOneServer}
	if mapping != address.MappingUnknown {
		n.Mapping = mapping.String()
	}
	// Where others see another port than the server did, the NAT may have
	// dropped a packet to that port for this reason.
	if present && f.returned != nil && (*f.returned || !changes(mapping)) {
		n.Hairpin = f.returned
	}
	return n
}

// changes reports whether another destination sees another port than the servers.
func changes(mapping address.MappingBehavior) bool {
	return mapping == address.MappingAddressDependent || mapping == address.MappingAddressAndPortDependent
}

// preferWait is how long a server that has another port is waited for once one
// without has answered.
const preferWait = 300 * time.Millisecond

// classify measures with one server how the NATs on the path behave. The ports
// of new sockets come first, while nothing else allocates any.
func (p *probe) classify(ctx context.Context) {
	server, ok := p.choose(ctx)
	if !ok {
		return
	}
	p.samplePorts(ctx, server.to)
	var parts sync.WaitGroup
	parts.Go(func() { p.nat.filtering = p.filtering(ctx, server) })
	parts.Go(func() { p.nat.returned = p.hairpin(ctx, server) })
	parts.Wait()
}

// choose returns the first answer over IPv4 that names another port, or, if
// there is none, the first.
func (p *probe) choose(ctx context.Context) (best answer, ok bool) {
	var patience <-chan time.Time
	for {
		select {
		case got, more := <-p.first:
			switch {
			case !more:
				return best, ok
			case !got.to.Addr().Is4():
				continue
			case got.other != 0:
				return got, true
			case !ok:
				best, ok, patience = got, true, time.After(preferWait)
			}
		case <-patience:
			return best, ok
		case <-ctx.Done():
			return best, ok
		}
	}
}

// sampleWait is how long the answers to new sockets are waited for.
const sampleWait = 500 * time.Millisecond

// samplePorts asks a server from one new socket after the other.
func (p *probe) samplePorts(ctx context.Context, server netip.AddrPort) {
	var sockets []*asker
	defer func() {
		for _, a := range sockets {
			a.close()
		}
	}()
	var answers []chan answer
	for range address.MaxPorts {
		conn, err := p.cfg.Host.Open("udp4")
		if err != nil {
			break
		}
		a := newAsker(conn, p.cfg.Covers, p.cfg.Host.Rand)
		sockets = append(sockets, a)
		one := make(chan answer, 1)
		answers = append(answers, one)
		_ = a.send(server, form{}, one)
	}
	limit, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	kept := true
	for i, one := range answers {
		if got, ok := await(limit, one, sampleWait); ok {
			p.nat.sample = append(p.nat.sample, got.seen.Port())
			kept = kept && got.seen.Port() == sockets[i].conn.Port()
		}
	}
	p.nat.ports = portWords(p.nat.sample, kept)
}

// fewestPorts that show a pattern.
const fewestPorts = 3

// portWords describes how ports follow from each other, in the words of
// address.Pattern where they are not the sockets' own.
func portWords(sample []uint16, kept bool) string {
	switch {
	case len(sample) < fewestPorts:
		return ""
	case kept:
		return control.PortsKept
	}
	// A pattern has words for ports where they change with the destination.
	pattern := address.Pattern{Mapping: address.MappingAddressAndPortDependent, Ports: sample}
	_, words, _ := strings.Cut(pattern.String(), ", ")
	return words
}

// filtering asks a server from a new socket to answer from its other port, to
// which that socket has never sent (RFC 5780, section 4.4).
func (p *probe) filtering(ctx context.Context, server answer) string {
	if server.other == 0 || server.other == server.to.Port() {
		return ""
	}
	conn, err := p.cfg.Host.Open("udp4")
	if err != nil {
		return ""
	}
	a := newAsker(conn, p.cfg.Covers, p.cfg.Host.Rand)
	defer a.close()
	if got, ok := a.ask(ctx, server.to, form{changePort: true}); ok {
		if got.from.Port() == server.to.Port() {
			return "" // it does not answer as it was asked to
		}
		return control.FilteringOpen
	}
	// Silence means something only while the server answers otherwise.
	if _, ok := a.ask(ctx, server.to, form{}); ok {
		return control.FilteringClosed
	}
	return ""
}

// How a packet to our own public address is sent, and how long its return may
// take.
const (
	hairpinTries = 3
	hairpinEvery = 100 * time.Millisecond
	hairpinWait  = 400 * time.Millisecond
)

// hairpin lets two new sockets send to each other's public address, both, so that
// the filters of both are open, and returns whether anything comes; nil if that
// could not be tried.
func (p *probe) hairpin(ctx context.Context, server answer) (came *bool) {
	var ends [2]*asker
	var public [2]netip.AddrPort
	for i := range ends {
		conn, err := p.cfg.Host.Open("udp4")
		if err != nil {
			return nil
		}
		ends[i] = newAsker(conn, p.cfg.Covers, p.cfg.Host.Rand)
		defer ends[i].close()
		got, ok := ends[i].ask(ctx, server.to, form{})
		if !ok {
			return nil
		}
		public[i] = got.seen
	}
	back := make(chan answer, 2*hairpinTries)
	came = new(bool)
	for range hairpinTries {
		for i := range ends {
			ends[i].sendTo(ends[1-i], public[1-i], back)
		}
		if _, *came = await(ctx, back, hairpinEvery); *came {
			return came
		}
	}
	_, *came = await(ctx, back, hairpinWait)
	return came
}

// sendTo sends a request to another asker of ours, by an address that others see
// it at.
func (a *asker) sendTo(b *asker, at netip.AddrPort, back chan<- answer) {
	if id, err := b.transaction(question{answers: back}); err == nil {
		_ = a.conn.WriteTo(stun.AppendRequest(nil, id), at)
	}
}
