package pmtu

import "time"

// base asks for all sizes of one round (Sizes) at once, which needs one round trip
// when the path carries the full size, and one timeout when it does not.
type base struct {
	round int
	best  int // bytes of the largest that came back
}

// fall assumes that the path carries the smallest size only, until more has come
// back.
func (d *Discovery) fall() {
	d.size = Minimum
	d.phase, d.next = phaseBase, time.Time{}
	d.base, d.search, d.watch = base{}, search{}, watch{}
}

func (d *Discovery) pollBase(now time.Time, timeout time.Duration) {
	b := &d.base
	switch {
	case b.best > 0:
		d.size, d.phase = b.best, phaseSearch
		d.pollSearch(now, timeout)
		return
	case b.round == maxProbes:
		d.phase, d.next = phaseError, now.Add(errorRetry)
		return
	}
	b.round++
	d.next = now.Add(timeout)
	for size := range Sizes(d.full) {
		d.ask(size)
	}
}
