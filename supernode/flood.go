package supernode

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// target is where a copy of a flood goes.
type target struct {
	session *crypto.HopSession
	addr    netip.AddrPort
}

// flood is one packet that is being sent to a whole community.
type flood struct {
	packet  []byte // in the buffer that it was read into
	handle  uint32 // of its sender
	targets []target
}

// prepareFlood lists the receivers of a flood. sendFlood sends it once the mutex is
// free, since sealing for a large community lasts.
func (s *Server) prepareFlood(now time.Time, out *outbox, edge *hop, packet []byte, flags protocol.Flags) {
	src := edge.reg
	c := src.community
	if flags&^protocol.FlagExceptDirect != 0 {
		s.refused.drop(dropRelayTarget)
		return
	}
	if !src.budget.floods.Take(now, 1, s.cfg.Limits.EdgeFloods, s.cfg.Limits.EdgeFloods) ||
		!c.floods.Take(now, 1, s.cfg.Limits.CommunityFloods, s.cfg.Limits.CommunityFloods) {
		s.refused.drop(dropRelayBudget)
		return
	}
	c.traffic.Floods++
	f := &out.flood
	f.packet, f.handle, f.targets = packet, src.handle, f.targets[:0]
	for _, r := range c.online {
		if r == src {
			continue
		}
		if flags&protocol.FlagExceptDirect != 0 {
			if _, found := slices.BinarySearch(edge.directSet, r.handle); found {
				continue
			}
		}
		f.targets = append(f.targets, target{session: r.hop.session, addr: r.hop.addr})
	}
}

// sendFlood queues the flood that was prepared: a copy for each receiver, since
// sealing and masking change the first 32 bytes. The caller does not hold s.mu, so
// the timers may change the tables that the run was looked up in.
func (s *Server) sendFlood(out *outbox) {
	f := &out.flood
	for _, to := range f.targets {
		pkt := append(out.buffer()[:protocol.RelayOverhead], f.packet...)
		if s.rehead(out, pkt, f.handle, to.session) {
			out.send(pkt, to.addr)
		}
		if out.full() {
			s.sockets.flush(out)
		}
	}
	f.targets = f.targets[:0]
	out.run = relayRun{}
}

// handleDirect replaces an edge's DIRECT set: the members that we leave out of those
// of its floods that carry FlagExceptDirect, since the edge sends these to them
// itself.
func (s *Server) handleDirect(x *exchange, value []byte) {
	m, err := protocol.ParseDirect(value)
	if err != nil {
		x.refuse(dropDirect)
		return
	}
	x.hop.directSet = append(x.hop.directSet[:0], m.Handles...)
	slices.Sort(x.hop.directSet)
}
