package supernode

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// relayRun is what the relayed packets of a train have in common: most come over the
// session of the one before and go to the same member, and then nothing needs
// to be looked up. Only packets of other types, and the timers while the mutex is
// free, change the tables that it was looked up in: each of them ends the run.
type relayRun struct {
	index  uint32 // of the session in the header
	edge   *hop   // nil: no run
	handle uint32
	dst    *registration // nil: the destination is still to be looked up
}

// relay passes a packet on to another member of the sender's community. It
// checks the hop tag, the replay window, the handle and the budgets, and
// re-heads the packet where it lies; it does not look into it.
func (s *Server) relay(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	edge := out.run.edge
	if edge == nil || out.run.index != h.RX {
		if edge = s.session(now, out, len(pkt), from, h.RX); edge == nil {
			return
		}
		out.run = relayRun{index: h.RX, edge: edge}
	}
	if edge.reg == nil {
		s.refused.drop(dropUnregistered)
		return
	}
	if len(pkt) < protocol.RelayOverhead+shortest {
		s.refused.drop(dropShort)
		return
	}
	packet, err := edge.session.OpenRelay(out.sc, pkt)
	if err != nil {
		s.refused.drop(dropRelayTag)
		return
	}
	s.heard(now, out, edge, from, len(pkt))
	handle, _ := protocol.SplitRelayCTR(h.CTR)
	if handle == protocol.HandleAll {
		s.prepareFlood(now, out, edge, packet, h.Flags)
		return
	}
	if h.Flags != 0 || !s.findTarget(&out.run, handle) {
		s.refused.drop(dropRelayTarget)
		return
	}
	if !s.charge(now, edge.reg, len(packet)) {
		s.refused.drop(dropRelayBudget)
		return
	}
	s.forward(out, pkt, edge.reg.handle, out.run.dst.hop)
}

// findTarget makes the member with a handle the destination of the run. It reports
// false when there is none with a session, or when it is the sender itself.
func (s *Server) findTarget(r *relayRun, handle uint32) bool {
	if r.dst != nil && r.handle == handle {
		return true
	}
	src := r.edge.reg
	dst := s.registry.member(src.community, handle)
	if dst == nil || dst == src || dst.place < 0 {
		return false
	}
	r.dst, r.handle = dst, handle
	return true
}

// charge subtracts a unicast packet of size bytes from the budgets of its sender
// and of its community, and counts it.
func (s *Server) charge(now time.Time, src *registration, size int) bool {
	c, cost, limits := src.community, float64(size), &s.cfg.Limits
	if !src.budget.bytes.Take(now, cost, limits.EdgeBytes, limits.EdgeBytes) ||
		!c.bytes.Take(now, cost, limits.CommunityBytes, limits.CommunityBytes) {
		return false
	}
	c.traffic.Packets++
	c.traffic.Bytes += uint64(size)
	return true
}

// forward sends the packet that is being handled to another member, from where
// it lies. handle is the sender's.
func (s *Server) forward(out *outbox, pkt []byte, handle uint32, to *hop) {
	if s.rehead(out, pkt, handle, to.session) {
		out.forward(len(pkt), to.addr)
	}
}

// rehead gives a relayed packet the header and the hop tag of its receiver. pkt
// has room for both in front. It reports false, after dropping the packet, when
// the session is worn.
func (s *Server) rehead(out *outbox, pkt []byte, handle uint32, to *crypto.HopSession) bool {
	counter, err := to.ReserveRelay()
	if err != nil {
		s.refused.drop(dropSessionWorn)
		return false
	}
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone,
		RX: to.RemoteIndex(), CTR: protocol.RelayCTR(handle, counter),
	}.Put(pkt)
	to.SealRelay(out.sc, pkt)
	return true
}
