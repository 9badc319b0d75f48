package path

import (
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
)

// When a better path is looked for, and what makes one better (docs/NAT.md,
// "Watching"): a path that changes with every measurement is worse than either.
const (
	searchEvery   = 60 * time.Second     // while there is traffic
	goodEnough    = 5 * time.Millisecond // nothing better is looked for
	switchSamples = 3
	switchGain    = 5 * time.Millisecond
	switchEvery   = 10 * time.Second
)

// promising reports whether the address is likely to be better than one through
// NATs, and so worth a look although another works already.
func (r *remote) promising() bool {
	return r.kind == address.KindLAN || r.kind == address.KindHost || r.addr.Addr().Is6()
}

// weighted is the smoothed round trip with the bias of its kind: a LAN is as good
// as one 20 % shorter, IPv6 (no NAT to lose a mapping) 10 %, TURN is 25 % worse.
func (r *remote) weighted() time.Duration {
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
	a, b := r.weighted(), current.weighted()
	return r.rtt.samples >= switchSamples && (a <= b*80/100 || a+switchGain <= b)
}

// wantsBetter reports whether a better remote than the selected one is to be looked
// for now. It is asked once for each time that comes.
func (s *selection) wantsBetter(now time.Time, active bool) bool {
	if !deadline.Due(now, s.better) {
		return false
	}
	s.better = now.Add(searchEvery)
	return active && s.remote.rtt.smooth > goodEnough
}

// compare begins an attempt over those remotes that may be better than the selected
// one, with samples of their own for each.
func (a *attempt) compare(now time.Time, l *remotes, selected *remote) {
	a.startEmpty(now, l)
	slot := 0
	for _, r := range l.list {
		r.rtt.samples = 0
		if r != selected && (r.promising() || !r.ponged.IsZero()) {
			r.plan = fullProbes(now.Add(time.Duration(slot) * stagger))
			slot++
		}
	}
}
