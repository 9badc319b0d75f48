package path

import "time"

// A direct path that broke often heals where it was: a cable is back, a route is
// mended. Attempts become rare with their failures, and no event tells the end of
// an outage, so while there is traffic the addresses that once answered get a
// single ping every few seconds.
const (
	recheckEvery  = 5 * time.Second
	maxRecheck    = 5 * time.Minute
	recheckedMost = 2             // addresses, those that answered last
	recheckFor    = 2 * time.Hour // after the last answer
)

// recheck is when those pings go.
type recheck struct {
	next  time.Time     // zero: not planned
	pause time.Duration // between them
}

// after plans the pings after a direct path that lived for some time. One that again
// and again lives for seconds only is worth less and less of them.
func (k *recheck) after(now time.Time, lived time.Duration) {
	if lived >= stableAfter || k.pause == 0 {
		k.pause = recheckEvery
	} else {
		k.pause = min(2*k.pause, maxRecheck)
	}
	k.next = now.Add(k.pause)
}

// poll sends the pings that are due, unless an attempt sends enough. They end when
// they are not needed.
func (k *recheck) poll(now time.Time, list []*remote, needed, attempt bool, s *prober) {
	if k.next.IsZero() || now.Before(k.next) {
		return
	}
	k.next = time.Time{}
	if !needed {
		return
	}
	for _, r := range answeredLast(now, list) {
		if r == nil {
			continue
		}
		k.next = now.Add(k.pause)
		if !attempt {
			s.check(now, r, 0, 0)
		}
	}
}

// answeredLast returns the remotes that answered last, the latest first.
func answeredLast(now time.Time, list []*remote) (best [recheckedMost]*remote) {
	for _, r := range list {
		if r.ponged.IsZero() || now.Sub(r.ponged) > recheckFor {
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
	return best
}
