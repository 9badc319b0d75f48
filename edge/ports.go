package edge

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"hedgerow/nat/address"
)

// Bounds of measuring how our NATs give out ports.
const (
	portsWait  = 400 * time.Millisecond // for the answers
	portsFresh = time.Second            // what was measured serves for so long
)

// portSample is what sockets that were opened one after the other got as their
// external ports.
type portSample struct {
	ports   []uint16
	at      time.Time
	running bool
	waiting []func(now time.Time, mine address.Pattern)
}

// withPattern calls f, now or soon, with how our NATs choose ports. Only where
// that changes with every destination has it to be measured.
func (e *Edge) withPattern(now time.Time, f func(now time.Time, mine address.Pattern)) {
	mapping := e.addresses.reflexive.Mapping()
	s := &e.ports
	hard := mapping == address.MappingAddressDependent || mapping == address.MappingAddressAndPortDependent
	server := e.askableServer()
	switch {
	case !hard || !e.cfg.Ways.possible() || !server.IsValid():
		f(now, address.Pattern{Mapping: mapping})
	case !s.at.IsZero() && now.Sub(s.at) < portsFresh:
		f(now, address.Pattern{Mapping: mapping, Ports: s.ports})
	default:
		s.waiting = append(s.waiting, f)
		if !s.running {
			s.running = true
			e.workers.Go(func() { e.samplePorts(server) })
		}
	}
}

// askableServer returns the IPv4 address of a supernode that has answered.
func (e *Edge) askableServer() netip.AddrPort {
	for _, l := range e.links {
		if a := l.at; l.registered() && a.Addr().Is4() {
			return a
		}
	}
	return netip.AddrPort{}
}

// samplePorts asks a server from one new socket after another which external
// port it has, and hands what comes back to the control loop.
func (e *Edge) samplePorts(server netip.AddrPort) {
	type answer struct {
		socket int
		from   netip.AddrPort
		pkt    []byte
	}
	answers := make(chan answer, address.MaxPorts)
	ports := make([]uint16, address.MaxPorts)
	var asked [address.MaxPorts]address.Bindings
	began := time.Now()
	left := 0
	for i := range asked {
		socket, err := e.cfg.Ways.Open(func(from netip.AddrPort, pkt []byte) {
			select {
			case answers <- answer{i, from, bytes.Clone(pkt)}:
			default:
			}
		})
		if err != nil {
			break
		}
		defer socket.Close()
		asked[i].Add(began, server)
		for _, r := range asked[i].Poll(began, e.host.Rand) {
			socket.Send(r.To, 0, r.Packet)
			left++
		}
	}
	for timeout := time.After(portsWait); left > 0; {
		select {
		case a := <-answers:
			if seen, err := asked[a.socket].HandleResponse(time.Now(), a.from, a.pkt); err == nil {
				ports[a.socket] = seen.Port()
				left--
			}
		case <-timeout:
			left = 0
		case <-e.running.Done():
			return
		}
	}
	ports = slices.DeleteFunc(ports, func(p uint16) bool { return p == 0 })
	select {
	case e.requests <- func(now time.Time) { e.takePorts(now, ports) }:
	case <-e.running.Done():
	}
}

// takePorts answers those who waited for a measurement.
func (e *Edge) takePorts(now time.Time, ports []uint16) {
	s := &e.ports
	s.running, s.ports, s.at = false, ports, now
	waiting := s.waiting
	s.waiting = nil
	for _, f := range waiting {
		f(now, address.Pattern{Mapping: e.addresses.reflexive.Mapping(), Ports: ports})
	}
}
