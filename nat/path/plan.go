package path

import (
	"time"

	"hedgerow/internal/deadline"
)

// The times of the probes to one address (docs/NAT.md, "An attempt").
const (
	primerGap  = 20 * time.Millisecond  // between the primers of one address
	primerLead = 150 * time.Millisecond // from T0 to the first packet with the full TTL: measured, 20 ms are not enough
	stagger    = 5 * time.Millisecond   // between addresses, so that a list is no burst
	lastAnswer = 500 * time.Millisecond // wait for it after the last probe
	shortest   = 1500 * time.Millisecond
)

// primerTTL dies behind our own router and before the peer's, wherever in the
// field those are: our NAT then expects the peer, and the peer's has seen
// nothing that could claim its mapping.
var primerTTL = [...]uint8{2, 3, 4, 5}

// fullAt are the times of the full probes, after the primer where there is one.
// Nine packets are the most that one address gets in one attempt; a packet from it
// may add one.
var fullAt = [...]time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

const (
	firstFull = len(primerTTL)
	stepsEnd  = firstFull + len(fullAt)
)

// plan lists the probes that one address still gets in the running attempt.
type plan struct {
	step  int       // of the primers, then of the full probes; stepsEnd = nothing
	t0    time.Time // of its primer; without one, primerLead before its first full probe
	extra bool      // the extra probe is spent
}

// fullProbes is the plan of full probes from a time on, without primers.
func fullProbes(from time.Time) plan {
	return plan{step: firstFull, t0: from.Add(-primerLead)}
}

// oneMore is the plan of a single probe beyond those that were sent.
func oneMore(now time.Time) plan {
	l := fullProbes(now.Add(-fullAt[len(fullAt)-1]))
	l.step, l.extra = stepsEnd-1, true
	return l
}

// due returns when the next step is.
func (l plan) due() time.Time {
	if l.step < firstFull {
		return l.t0.Add(time.Duration(l.step) * primerGap)
	}
	return l.t0.Add(primerLead + fullAt[l.step-firstFull])
}

// end returns until when the answer to the last step is waited for.
func (l plan) end() time.Time {
	l.step = stepsEnd - 1
	return l.due().Add(lastAnswer)
}

// plan gives r its steps in the running attempt. slot is its place among those that
// begin together.
func (a *attempt) plan(now time.Time, r *remote, slot int) {
	wait := time.Duration(slot) * stagger
	if !r.needsPrimer() {
		r.plan = fullProbes(now.Add(wait))
		return
	}
	t0 := a.t0
	if t0.Before(now) {
		t0 = now
	}
	r.plan = plan{t0: t0.Add(wait)}
}

// schedule finds the next step of all plans, and the end of the attempt, which is
// no earlier than atLeast.
func (a *attempt) schedule(list []*remote, atLeast time.Time) {
	a.next, a.end = time.Time{}, a.begun.Add(shortest)
	if atLeast.After(a.end) {
		a.end = atLeast
	}
	for _, r := range list {
		if r.plan.step == stepsEnd {
			continue
		}
		a.next = deadline.Earliest(a.next, r.plan.due())
		if end := r.plan.end(); end.After(a.end) {
			a.end = end
		}
	}
}

// sendDue sends the probes that are due.
func (a *attempt) sendDue(now time.Time, list []*remote, s *prober) {
	for _, r := range list {
		for r.plan.step < stepsEnd && !now.Before(r.plan.due()) {
			ttl := uint8(0)
			if r.plan.step < firstFull {
				ttl = primerTTL[r.plan.step]
			} else if r.primersOnly() {
				r.plan.step = stepsEnd
				break
			}
			r.plan.step++
			s.check(now, r, 0, ttl)
		}
	}
}
