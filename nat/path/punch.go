package path

import (
	"net/netip"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
)

// Punch handles a PUNCH from a supernode: the peer was seen as seen, and both ends
// begin after delay. seen may be an address that only the supernode can reach: the
// addresses instead are where the peer may be then, and are tried as well. Punch
// starts an attempt, also when we are direct, since the peer may not be. It does not
// set the back-off to its beginning unless the peer's candidates change: otherwise the
// requests of two ends that cannot reach each other would keep both at the shortest
// wait for ever.
func (p *Machine) Punch(now time.Time, seen netip.AddrPort, delay time.Duration, instead ...netip.AddrPort) {
	seen = address.Unmap(seen)
	join := func(a netip.AddrPort) { p.attempt.join(now, a, &p.remotes, p.selection.remote, p.nomination.remote) }
	if p.prober.allows(p.prober.policy.PrimerRefusal(seen)) {
		p.prober.seen = sighting{seen, now}
		join(seen)
	}
	for _, a := range instead {
		if p.prober.allows(p.prober.policy.ProbeRefusal(a)) {
			join(a)
		}
	}
	t0 := now.Add(min(max(delay, 0), maxPunchDelay))
	p.startAt(now, t0, "a supernode sent a PUNCH")
}

// join makes an address at which the peer was seen one of its addresses, which the running
// attempt tries as well.
func (a *attempt) join(now time.Time, seen netip.AddrPort, l *remotes, inUse ...*remote) {
	if l.find(seen) != nil {
		return
	}
	r := l.learn(now, seen, address.KindReflexive, inUse...)
	if a.running() {
		a.plan(now, r, 0)
	}
}

// Agreed is Punch without a supernode: both ends begin at start, with the
// addresses that the peer gave.
func (p *Machine) Agreed(now, start time.Time) {
	p.startAt(now, deadline.Earliest(start, now.Add(maxPunchDelay)), "the peer agreed to begin")
}

// startAt begins an attempt at t0, or moves the running one there.
func (p *Machine) startAt(now, t0 time.Time, why string) {
	if p.selection.exists() {
		p.selection.heart.pingWithin(resendAfter)
	}
	p.reported.wake(now)
	a := &p.attempt
	switch {
	case !a.running():
		p.begin(now, t0, true)
	case !a.arranged && now.Before(a.t0):
		a.arrange(t0, p.remotes.list)
		p.schedule()
	case a.arranged && now.Before(a.t0.Add(punchMerge)):
		p.schedule()
	default:
		p.begin(now, t0, true)
	}
	p.report(now, why, nil)
}

// arrange moves the primers of the running attempt to the arranged time.
func (a *attempt) arrange(t0 time.Time, list []*remote) {
	shift := t0.Sub(a.t0)
	a.t0, a.arranged, a.asks = t0, true, len(asksAt)
	for _, r := range list {
		if r.needsPrimer() && r.plan.step == 0 {
			r.plan.t0 = r.plan.t0.Add(shift)
		}
	}
}
