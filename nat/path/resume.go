package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// Direct is the direct path of a machine, as another process goes on with it.
type Direct struct {
	Addr netip.AddrPort // not valid: there is none
	Kind address.CandidateKind
	Seen netip.AddrPort // our address as the peer sees it
	RTT  time.Duration
	MTU  int           // bytes of the largest IP packet that it is known to carry
	Idle time.Duration // since the last use
}

// Leave returns the direct path of a machine, for another process to Resume with. A path by a
// TURN server is none, since an allocation is this process's.
func Leave(p *Machine, now time.Time) (d Direct) {
	if s := &p.selection; s.exists() && s.remote.kind != address.KindTURN {
		d = Direct{Addr: s.remote.addr, Kind: s.remote.kind, Seen: s.remote.seen, RTT: s.remote.rtt.smooth, MTU: s.mtu.Size()}
		d.Idle = max(now.Sub(p.usage.last), 0)
	}
	return d
}

// Resume gives a machine that New has just made the direct path that another process had. The
// next ping follows at once: nobody may have listened meanwhile.
func Resume(p *Machine, now time.Time, d Direct) {
	if !d.Addr.IsValid() || d.MTU <= ipOverhead(d.Addr) || !p.prober.allows(p.prober.policy.ReplyRefusal(d.Addr)) {
		return
	}
	r := p.remotes.learn(now, d.Addr, d.Kind)
	r.heard, r.ponged, r.seen = true, now, d.Seen
	if d.RTT > 0 {
		r.rtt.add(d.RTT)
	}
	p.usage.last = now.Add(-d.Idle)
	p.selectRemote(now, r, d.MTU)
	p.selection.heart.dual, p.selection.heart.next = time.Time{}, now
}
