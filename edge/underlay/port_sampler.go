package underlay

import (
	"context"
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// Bounds of measuring how our NATs give out ports (docs/NAT.md).
const (
	sampleWait  = 400 * time.Millisecond // for the answers
	sampleFresh = time.Second            // a sample serves for so long
)

// PortSampler measures which external ports our NATs give to sockets that are
// opened one after the other, so that peers can guess the next ones.
type PortSampler struct {
	cfg       *Config
	addresses *Addresses

	ports   []uint16
	at      time.Time // of the sample, zero when it serves no more
	running bool
	stale   bool // the network changed under the sample that is under way
	waiting []func(now time.Time, mine address.Pattern)
}

// Pattern calls f, now or within 400 ms, with how our NATs choose ports. It is
// measured, with the help of a STUN server over IPv4, only where ports change with
// every destination. A server that is not valid says that there is none: then only
// the mapping behaviour is known.
func (s *PortSampler) Pattern(now time.Time, server netip.AddrPort, f func(now time.Time, mine address.Pattern)) {
	mapping := s.addresses.reflexive.Mapping()
	hard := mapping == address.MappingAddressDependent || mapping == address.MappingAddressAndPortDependent
	switch {
	case !hard || !s.cfg.Transports.sockets() || !server.IsValid():
		f(now, address.Pattern{Mapping: mapping})
	case !s.at.IsZero() && now.Sub(s.at) < sampleFresh:
		f(now, address.Pattern{Mapping: mapping, Ports: s.ports})
	default:
		s.waiting = append(s.waiting, f)
		if !s.running {
			s.running = true
			s.cfg.Loop.Go(func(ctx context.Context) { s.sample(ctx, now, server) })
		}
	}
}

// forget has the next one measured anew.
func (s *PortSampler) forget() { s.at, s.stale = time.Time{}, s.running }

// sampleSocket is one of the sockets of a sample, and what was asked from it.
type sampleSocket struct {
	*asker
	asked address.Bindings
}

// sample asks a server from one new socket after another which external port it
// has, and hands what comes back to the control loop.
func (s *PortSampler) sample(ctx context.Context, began time.Time, server netip.AddrPort) {
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel()
	var sockets []*sampleSocket
	for len(sockets) < address.MaxPorts {
		a, ok := s.cfg.openAsker(server)
		if !ok {
			break
		}
		defer a.close()
		x := &sampleSocket{asker: a}
		x.asked.Add(began, server)
		for _, q := range x.asked.Poll(began, s.cfg.Random) {
			x.conn.Send(q.To, 0, q.Packet)
		}
		sockets = append(sockets, x)
	}
	var ports []uint16
	for _, x := range sockets {
		if seen, ok := x.seen(ctx, began, &x.asked); ok {
			ports = append(ports, seen.Port())
		}
	}
	s.cfg.Loop.Do(func(now time.Time) { s.sampled(now, ports) })
}

// sampled answers those who waited for a sample.
func (s *PortSampler) sampled(now time.Time, ports []uint16) {
	s.cfg.Log.Debug("sampled the ports of our NATs", "ports", ports, "stale", s.stale)
	s.ports, s.at = ports, now
	if s.stale {
		s.at = time.Time{}
	}
	waiting := s.waiting
	s.running, s.stale, s.waiting = false, false, nil
	for _, f := range waiting {
		f(now, address.Pattern{Mapping: s.addresses.reflexive.Mapping(), Ports: ports})
	}
}
