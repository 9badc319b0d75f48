package path

import (
	"time"

	"hedgerow/nat/address"
)

// When a better path is looked for, and what makes one better (NAT.md, section
// 1.3): a path that changes with every measurement is worse than either.
const (
	searchEvery   = 60 * time.Second     // while there is traffic
	goodEnough    = 5 * time.Millisecond // nothing better is looked for
	switchSamples = 3
	switchGain    = 5 * time.Millisecond
	switchEvery   = 10 * time.Second
)

// near reports whether the address is likely to be better than one through
// NATs, and so worth a look although another works already.
func (r *remote) near() bool {
	return r.kind == address.KindLAN || r.kind == address.KindHost || r.addr.Addr().Is6()
}

// score is the smoothed round trip with the bias of its kind: a LAN is as good
// as one 20 % shorter, IPv6 (no NAT to lose a mapping) 10 %, TURN is 25 % worse.
func (r *remote) score() time.Duration {
	t := r.rtt.smooth
	switch {
	case r.kind == address.KindLAN || r.kind == address.KindHost && (r.addr.Addr().IsPrivate() && r.addr.Addr().Is4()):
		return t * 80 / 100
	case r.kind == address.KindTURN:
		return t * 125 / 100
	case r.addr.Addr().Is6():
		return t * 90 / 100
	}
	return t
}

// better reports whether r is enough better than the path in use to leave that.
func (r *remote) better(current *remote) bool {
	a, b := r.score(), current.score()
	return r.rtt.samples >= switchSamples && (a <= b*80/100 || a+switchGain <= b)
}

// consider begins to verify r when it is the first to answer, when the direct
// path is in doubt, or when it is better by enough.
func (p *Machine) consider(now time.Time, r *remote) {
	switch {
	case p.direct == nil:
		if r.kind == address.KindTURN && p.attempt.running() {
			return // whatever needs no relay goes first: see settleForRelay
		}
	case p.direct.kind == address.KindTURN && r.kind != address.KindTURN, p.heart.missed > 0:
	case now.Sub(p.heart.since) >= switchEvery && r.better(p.direct):
	default:
		return
	}
	p.verifyFrom(now, r)
}

// settleForRelay begins to verify a TURN relay that answered in an attempt that
// has come to nothing else, and reports whether there is one.
func (p *Machine) settleForRelay(now time.Time) bool {
	if p.direct != nil {
		return false
	}
	for _, r := range p.remotes {
		if r.kind == address.KindTURN && !r.ponged.Before(p.attempt.begun) && (r.failed.IsZero() || now.Sub(r.failed) >= settled) {
			p.verifyFrom(now, r)
			p.pollVerify(now) // its turn in this Poll is over
			return true
		}
	}
	return false
}

// relayed reports whether what counts as the direct path leads through a TURN
// relay. A better one is looked for as if there were none.
func (p *Machine) relayed() bool { return p.direct != nil && p.direct.kind == address.KindTURN }

// pollBetter looks for a better path from time to time.
func (p *Machine) pollBetter(now time.Time) {
	if p.better.IsZero() || now.Before(p.better) {
		return
	}
	p.better = now.Add(searchEvery)
	if !p.active(now) || p.direct.rtt.smooth <= goodEnough || p.attempt.running() {
		return
	}
	p.search(now)
	slot := 0
	for _, r := range p.remotes {
		r.rtt.samples = 0
		if r != p.direct && (r.near() || !r.ponged.IsZero()) {
			r.plan = plainPlan(now.Add(time.Duration(slot) * stagger))
			slot++
		}
	}
	p.schedule()
}
