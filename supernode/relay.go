package supernode

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/transport"
)

// relayer passes packets on between the members of a community.
type relayer struct {
	sessions  *sessions
	sender    *controlSender
	registry  *registry
	sockets   *sockets // for floods, which may fill an outbox
	allowance *allowance
	crowded   crowded
	months    *months
	refused   *refusals
	limits    Limits
}

// relay passes a packet on to another member of the sender's community. It
// checks the hop tag, the replay window, the handle and the budgets, and
// re-heads the packet where it lies; it does not look into it.
func (r *relayer) relay(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	edge := out.run.edge
	if edge == nil || out.run.index != h.RX {
		if edge = r.sessions.find(now, out, len(pkt), from, h.RX); edge == nil {
			r.crowded.handled(now, len(pkt))
			return
		}
		out.run = relayRun{index: h.RX, edge: edge}
	}
	if edge.reg == nil {
		r.refused.drop(dropUnregistered)
		return
	}
	if len(pkt) < protocol.RelayOverhead+shortest {
		r.refused.drop(dropShort)
		return
	}
	// Whoever forges packets of an edge knows its address as little as its index.
	full := r.crowded.loop.Full()
	if full && from == edge.addr && !r.crowded.handles(now, edge.reg, len(pkt)) {
		r.drop(now, out, edge, loopFull)
		return
	}
	packet, err := edge.session.OpenRelay(out.sc, pkt)
	if err != nil {
		r.refused.drop(dropRelayTag)
		return
	}
	if r.sessions.heard(now, out, edge, from, len(pkt)) {
		r.sessions.prober.send(now, out, edge)
	}
	if full && from != edge.addr && !r.crowded.handles(now, edge.reg, len(pkt)) {
		r.drop(now, out, edge, loopFull)
		return
	}
	handle, _ := protocol.SplitRelayCTR(h.CTR)
	if handle == protocol.HandleAll {
		r.prepareFlood(now, out, edge, packet, h.Flags)
		return
	}
	if h.Flags != 0 || !r.findTarget(&out.run, handle) {
		r.refused.drop(dropRelayTarget)
		return
	}
	if over := r.charge(now, out, edge, len(packet)); over.what != 0 {
		r.drop(now, out, edge, over)
		return
	}
	r.forward(out, pkt, edge.reg.handle, out.run.dst.hop)
}

// findTarget makes the member with a handle the destination of the run. It reports
// false when there is none with a session, or when it is the sender itself.
func (r *relayer) findTarget(run *relayRun, handle uint32) bool {
	if run.dst != nil && run.handle == handle {
		return true
	}
	src := run.edge.reg
	dst := r.registry.member(src.community, handle)
	if dst == nil || dst == src || dst.place < 0 {
		return false
	}
	run.dst, run.handle = dst, handle
	return true
}

// charge subtracts a unicast packet of size bytes from the budgets of its sender and of
// its community, and from what the line carries, and counts it, or returns what it went over.
func (r *relayer) charge(now time.Time, out *outbox, edge *hop, size int) (over limit) {
	if !out.run.month {
		if over = r.overMonth(now, out, edge, size, false); over.what != 0 {
			return over
		}
	}
	src := edge.reg
	c, cost, limits := src.community, float64(size), &r.limits
	if !src.budget.bytes.Take(now, cost, limits.EdgeBytes, limits.EdgeBytes) {
		return limit{protocol.LimitedBytes, limits.EdgeBytes}
	}
	if !c.budget.bytes.Take(now, cost, limits.CommunityBytes, limits.CommunityBytes) {
		return limit{protocol.LimitedCommunityBytes, limits.CommunityBytes}
	}
	if r.crowded.line != nil && !r.crowded.carries(now, src, size) {
		return r.crowded.lineFull(src)
	}
	r.spend(src, size, 1)
	r.count(src, admin.Traffic{Packets: 1, Bytes: uint64(size)})
	return limit{}
}

// count counts what is relayed for an edge, for its community and in all.
func (r *relayer) count(src *registration, more admin.Traffic) {
	src.budget.traffic.Add(more)
	src.community.budget.traffic.Add(more)
	r.registry.totals.traffic.Add(more)
}

// congested is a mark of congestion in the ECN field of a TOS octet (RFC 3168, section 5).
const congested = 3

// forward sends the packet that is being handled to another member, from where
// it lies. handle is the sender's.
func (r *relayer) forward(out *outbox, pkt []byte, handle uint32, to *hop) {
	if out.came.tos&congested == congested && transport.IsSide(to.addr.Addr()) {
		r.refused.drop(dropMarked) // a stream carries no marks
		return
	}
	if r.rehead(out, pkt, handle, 0, to.session, &to.us) {
		out.forward(len(pkt), &to.ends)
	}
}
