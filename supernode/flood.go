package supernode

import (
	"slices"
	"time"

	"hedgerow/protocol"
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
	if !src.budget.floods.Take(now, 1, r.limits.EdgeFloods, r.limits.EdgeFloods) ||
		!c.floods.Take(now, 1, r.limits.CommunityFloods, r.limits.CommunityFloods) {
		r.refused.drop(dropRelayBudget)
		return
	}
	c.traffic.Floods++
	f := &out.flood
	f.packet, f.handle, f.targets = packet, src.handle, f.targets[:0]
	for _, member := range c.online {
		if member == src {
			continue
		}
		if flags&protocol.FlagExceptDirect != 0 {
			if _, found := slices.BinarySearch(edge.directSet, member.handle); found {
				continue
			}
		}
		f.targets = append(f.targets, target{session: member.hop.session, addr: member.hop.addr})
	}
}

// sendFlood queues the flood that was prepared: a copy for each receiver, since
// sealing and masking change the first 32 bytes. The caller does not hold the mutex,
// so the timers may change the tables that the run was looked up in.
func (r *relayer) sendFlood(out *outbox) {
	f := &out.flood
	for _, to := range f.targets {
		pkt := append(out.buffer()[:protocol.RelayOverhead], f.packet...)
		if r.rehead(out, pkt, f.handle, to.session) {
			out.send(pkt, to.addr)
		}
		if out.full() {
			r.sockets.flush(out)
		}
	}
	f.targets = f.targets[:0]
	out.run = relayRun{}
}
