package path

import "time"

// A direct path that broke often heals where it was: a link comes back, a route is
// mended. Attempts become rare with their failures, and nobody tells the end of
// an outage, so while there is traffic the addresses that once answered get a
// single ping every few seconds.
const (
	knockEvery = 5 * time.Second
	knockMost  = 5 * time.Minute
	knockAt    = 2             // addresses at most, those that answered last
	knockFor   = 2 * time.Hour // after the last answer
)

// knockAfter plans that after a direct path that lived for some time. One that
// again and again lives for seconds only is worth less and less of it.
func (p *Machine) knockAfter(now time.Time, lived time.Duration) {
	a := &p.attempt
	if lived >= settled || a.pause == 0 {
		a.pause = knockEvery
	} else {
		a.pause = min(2*a.pause, knockMost)
	}
	a.knock = now.Add(a.pause)
}

// pollKnock sends what is due of that.
func (p *Machine) pollKnock(now time.Time) {
	a := &p.attempt
	if a.knock.IsZero() || now.Before(a.knock) {
		return
	}
	a.knock = time.Time{}
	if p.direct != nil || !p.active(now) {
		return
	}
	var best [knockAt]*remote
	for _, r := range p.remotes {
		if r.ponged.IsZero() || now.Sub(r.ponged) > knockFor {
			continue
		}
		for i := range best {
			if best[i] == nil || r.ponged.After(best[i].ponged) {
				best[i], r = r, best[i]
			}
			if r == nil {
				break
			}
		}
	}
	for _, r := range best {
		if r == nil {
			continue
		}
		a.knock = now.Add(a.pause)
		if !a.running() { // an attempt sends enough
			p.emit(now, r, 0, 0)
		}
	}
}

// Roamed notes that links of our own have changed. A direct path is in doubt until
// its next answer, so that traffic also goes by relay; everything else is tried
// anew, as often as at first.
func (p *Machine) Roamed(now time.Time) {
	p.special.tries, p.special.retry = 0, time.Time{}
	p.attempt.failures = 0
	if p.direct != nil {
		h := &p.heart
		h.waiting, h.missed, h.next = false, max(h.missed, 1), now
	}
	if p.direct != nil || p.wanted(now) {
		p.beginOwn(now)
	}
	p.touch(now)
}
