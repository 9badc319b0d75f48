package supernode

import (
	"slices"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
)

// prepareFlood lists the receivers of a flood. sendFlood sends it once the mutex is
// free, since sealing for a large community lasts.
func (r *relayer) prepareFlood(now time.Time, out *outbox, edge *hop, packet []byte, flags protocol.Flags) {
	src := edge.reg
	c := src.community
	if flags&^protocol.FlagExceptDirect != 0 {
		r.refused.drop(dropRelayTarget)
		return
	}
	var skip []uint32
	if flags&protocol.FlagExceptDirect != 0 {
		skip = edge.others.direct
	}
	// What surely leaves is charged before anybody looks for whom it is for, so that a
	// flood that is refused costs no more than a packet.
	least := max(1, len(c.online)-1-len(skip))
	over := r.overMonth(now, out, edge, len(packet), true)
	if over.what == 0 {
		over = r.chargeFlood(now, edge, least, len(packet))
	}
	if over.what == 0 && r.crowded.line != nil && !r.crowded.carries(now, src, len(packet)) {
		over = r.crowded.lineFull(src)
	}
	if over.what != 0 {
		r.drop(now, out, edge, over)
		return
	}
	f := &out.flood
	f.packet, f.handle, f.targets = packet, src.handle, f.targets[:0]
	for _, member := range c.online {
		if member == src {
			continue
		}
		if _, found := slices.BinarySearch(skip, member.handle); found {
			continue
		}
		f.targets = append(f.targets, target{session: member.hop.session, ends: member.hop.ends})
	}
	if more := len(f.targets) - least; more > 0 {
		if over := r.chargeFlood(now, edge, more, len(packet)); over.what != 0 {
			f.targets = f.targets[:0]
			r.drop(now, out, edge, over)
			return
		}
	}
	r.crowded.copied(src, len(packet), len(f.targets)-1)
	r.spend(src, len(packet), len(f.targets))
	r.count(src, admin.Traffic{Floods: 1, FloodBytes: uint64(len(packet) * len(f.targets))})
}

// chargeFlood subtracts copies of a flood of size bytes from the budgets of its sender,
// of the source that it comes from, and of its community: from all, or from none, and
// then it returns which of them the flood went over. In a community that is larger than a
// budget a flood is had from full buckets only, which owe the rest from then on.
func (r *relayer) chargeFlood(now time.Time, edge *hop, copies, size int) limit {
	limits, n := &r.limits, float64(copies)
	own, all, bytes := &edge.reg.budget, &edge.reg.community.budget, n*float64(size)
	costs := [...]struct {
		bucket     *bucket.Bucket
		cost, rate float64
		what       uint8
	}{
		{&own.floods, n, limits.EdgeFloods, protocol.LimitedCopies}, {&own.bytes, bytes, limits.EdgeBytes, protocol.LimitedBytes},
		{&all.floods, n, limits.CommunityFloods, protocol.LimitedCommunityCopies}, {&all.bytes, bytes, limits.CommunityBytes, protocol.LimitedCommunityBytes},
	}
	for _, c := range costs {
		if !c.bucket.Has(now, c.cost, c.rate, max(c.rate, c.cost)) {
			return limit{c.what, c.rate}
		}
	}
	rate := limits.SourceFloods * float64(r.registry.front.sourcesIn(edge.source))
	if !r.allowance.copies(now, edge, n, rate) {
		return limit{protocol.LimitedNetworkCopies, rate}
	}
	for _, c := range costs {
		c.bucket.Take(now, c.cost, c.rate, max(c.rate, c.cost))
	}
	return limit{}
}

// sendFlood queues the flood that was prepared: a copy for each receiver, since
// sealing and masking change the first 32 bytes. The caller does not hold the mutex,
// so the timers may change the tables that the run was looked up in.
func (r *relayer) sendFlood(out *outbox) {
	f := &out.flood
	for i := range f.targets {
		to := &f.targets[i]
		pkt := append(out.buffer()[:protocol.RelayOverhead], f.packet...)
		if r.rehead(out, pkt, f.handle, protocol.FlagCopy, to.session, &to.us) {
			out.send(pkt, to.ends)
			out.passOn()
		}
		if out.full() {
			r.sockets.flush(out)
		}
	}
	f.targets = f.targets[:0]
	out.run = relayRun{}
}
