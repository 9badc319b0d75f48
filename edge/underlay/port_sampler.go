package underlay

import (
	"bytes"
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

// sample asks a server from one new socket after another which external port it
// has, and hands what comes back to the control loop.
func (s *PortSampler) sample(ctx context.Context, began time.Time, server netip.AddrPort) {
	run := sampleRun{began: began, answers: make(chan sampleAnswer)}
	defer run.close()
	ctx, cancel := context.WithTimeout(ctx, sampleWait)
	defer cancel() // before the sockets are closed, which waits for their goroutines
	for len(run.sockets) < address.MaxPorts && run.open(ctx, s.cfg, server) {
	}
	run.wait(ctx)
	var ports []uint16
	for _, x := range run.sockets {
		if x.port != 0 {
			ports = append(ports, x.port)
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

// sampleRun is one sample under way.
type sampleRun struct {
	began   time.Time
	sockets []*sampleSocket
	answers chan sampleAnswer
	left    int // answers that have not come
}

// sampleSocket is one of its sockets; port is 0 until the answer has come.
type sampleSocket struct {
	conn  Socket
	asked address.Bindings
	port  uint16
}

// sampleAnswer is what came to a socket.
type sampleAnswer struct {
	socket int
	from   netip.AddrPort
	pkt    []byte
}

// open asks from one more socket, and reports whether there was one.
func (r *sampleRun) open(ctx context.Context, cfg *Config, server netip.AddrPort) bool {
	i := len(r.sockets)
	conn, err := cfg.Transports.Open(func(from netip.AddrPort, pkt []byte) {
		select {
		case r.answers <- sampleAnswer{i, from, bytes.Clone(pkt)}:
		case <-ctx.Done():
		}
	})
	if err != nil {
		cfg.refuse(RefusedSocket, server, err)
		return false
	}
	x := &sampleSocket{conn: conn}
	r.sockets = append(r.sockets, x)
	x.asked.Add(r.began, server)
	for _, q := range x.asked.Poll(r.began, cfg.Random) {
		x.conn.Send(q.To, 0, q.Packet)
		r.left++
	}
	return true
}

// wait reads answers until all have come or ctx ends.
func (r *sampleRun) wait(ctx context.Context) {
	for r.left > 0 {
		select {
		case a := <-r.answers:
			x := r.sockets[a.socket]
			if seen, err := x.asked.HandleResponse(r.began, a.from, a.pkt); err == nil {
				x.port = seen.Port()
				r.left--
			}
		case <-ctx.Done():
			return
		}
	}
}

func (r *sampleRun) close() {
	for _, x := range r.sockets {
		_ = x.conn.Close()
	}
}
