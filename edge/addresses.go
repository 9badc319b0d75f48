package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// gatherEvery is how often our own interfaces are looked at again.
const gatherEvery = 30 * time.Second

// addresses are the underlay addresses under which we may be reached, and the
// rules by which we probe others.
type addresses struct {
	policy    address.Policy
	budget    *address.Budget
	sources   address.Sources // but for what servers see
	reflexive address.Reflexive
	byPeers   address.Reflexive // what peers see on direct paths; for want of better
	stun      address.Bindings
	list      []address.Candidate
	gen       uint32
	mapping   address.MappingBehavior
	gatherAt  time.Time
	changed   bool // peers are to be told
}

// forbid keeps a subnet out of the candidates.
func (a *addresses) forbid(now time.Time, prefix netip.Prefix) {
	if !slices.Contains(a.policy.Forbidden, prefix) {
		a.policy.Forbidden = append(a.policy.Forbidden, prefix)
		a.gather(now)
	}
}

// observe notes under which address a server sees us.
func (a *addresses) observe(now time.Time, server, seen netip.AddrPort) {
	if !seen.IsValid() || seen.Addr().IsUnspecified() || isSide(server) {
		return
	}
	if a.reflexive.Observe(now, server, seen) {
		a.gatherAt = now
	}
}

// observePeer notes under which address a peer sees us. It counts only while no
// server tells: a peer may say what it likes.
func (a *addresses) observePeer(now time.Time, from, seen netip.AddrPort) {
	if !isSide(from) && !from.Addr().IsPrivate() && !from.Addr().IsLinkLocalUnicast() {
		a.byPeers.Observe(now, from, seen)
	}
}

// gather makes the list of candidates anew.
func (a *addresses) gather(now time.Time) {
	s := a.sources
	if s.Reflexive = a.reflexive.List(now); len(s.Reflexive) == 0 {
		s.Reflexive = a.byPeers.List(now)
	}
	list := address.Gather(s, &a.policy)
	if slices.Equal(list, a.list) {
		return
	}
	a.list, a.changed = list, true
	a.gen++
}

// candidates returns the CAND message of the present generation.
func (a *addresses) candidates() protocol.Candidates {
	m := protocol.Candidates{Gen: a.gen}
	for _, c := range a.list {
		m.List = append(m.List, protocol.Candidate{Kind: uint8(c.Kind), Addr: c.Addr})
	}
	return m
}

// hostCandidates returns the addresses of our own interfaces.
func (a *addresses) hostCandidates() []netip.AddrPort {
	var list []netip.AddrPort
	for _, c := range a.list {
		if c.Kind == address.KindHost {
			list = append(list, c.Addr)
		}
	}
	return list
}

func (a *addresses) deadline() time.Time { return earliest(a.gatherAt, a.stun.Deadline()) }

// tickAddresses looks at our interfaces again, asks the STUN servers, and
// tells the peers what changed.
func (e *Edge) tickAddresses(now time.Time) {
	a := &e.addresses
	if due(now, a.gatherAt) {
		a.gatherAt = now.Add(gatherEvery)
		if host, err := e.host.Addresses(); err != nil {
			e.host.Log.Warn("cannot list the addresses of this host", "err", err)
		} else {
			a.sources.Host = host
		}
		a.gather(now)
		if m := a.reflexive.Mapping(); m != a.mapping {
			a.mapping = m
			e.report(now, Event{Kind: EventMapping, Text: m.String()})
		}
	}
	for _, r := range a.stun.Poll(now, e.host.Rand) {
		e.send.Send(r.To, r.Packet)
	}
	if a.changed {
		a.changed = false
		for _, p := range e.peers.byStatic {
			m := a.candidates()
			e.sendPair(p, m.Append)
		}
	}
}

// handleSTUN takes the answer of a STUN server that was asked.
func (e *Edge) handleSTUN(now time.Time, ev dataplane.STUNReceived) {
	seen, err := e.addresses.stun.HandleResponse(now, ev.Addr, ev.Packet)
	if err != nil {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	e.addresses.observe(now, ev.Addr, seen)
	e.udpAnswers(now, ev.Addr)
}

// hostAddresses returns the default source of our underlay addresses: those
// of all interfaces but the overlay's own.
func hostAddresses(device string) func() ([]netip.Addr, error) {
	return func() ([]netip.Addr, error) {
		return address.OfInterfaces(func(ifname string) bool { return ifname == device })
	}
}
