package path

import (
	"math/rand/v2"
	"time"

	"hedgerow/internal/deadline"
)

// The times of an attempt (NAT.md, section 1.3).
const (
	primerGap     = 20 * time.Millisecond  // between the primers of one address
	primerLead    = 150 * time.Millisecond // from T0 to the first packet with the full TTL: measured, 20 ms are not enough
	stagger       = 5 * time.Millisecond   // between addresses, so that a list is no burst
	punchWait     = time.Second            // without a PUNCH we begin alone
	punchMerge    = time.Second            // a PUNCH this soon after T0 means the same attempt
	maxPunchDelay = 2 * time.Second
	lastAnswer    = 500 * time.Millisecond // wait for it after the last probe
	shortest      = 1500 * time.Millisecond
	settled       = 10 * time.Second // a direct path that lived so long was a success
	freshEvery    = 30 * time.Second // how often new addresses may break the back-off
)

// primerTTL dies behind our own router and before the peer's, wherever in the
// field those are: our NAT then expects the peer, and the peer's has seen
// nothing that could claim its mapping.
var primerTTL = [...]uint8{2, 3, 4, 5}

// plainAt are the times of the full probes, after the primer where there is
// one. Nine packets are the most that one address gets in one attempt; a
// packet from it may add one.
var plainAt = [...]time.Duration{0, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond}

// asksAt are the times of our requests for a PUNCH: the relay may lose one.
var asksAt = [...]time.Duration{0, 250 * time.Millisecond, 750 * time.Millisecond}

// backoff is the wait after each failed attempt in a row, +-20 %. It never ends.
var backoff = [...]time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	60 * time.Second, 120 * time.Second, 300 * time.Second}

const (
	firstPlain = len(primerTTL)
	stepsEnd   = firstPlain + len(plainAt)
)

// plan is what one address still gets in the running attempt.
type plan struct {
	step  int       // of the primers, then of the plain probes; stepsEnd = nothing
	t0    time.Time // of its primer; without one, of its first plain probe
	extra bool      // the extra probe is spent
}

// due returns when the next step is.
func (l plan) due() time.Time {
	if l.step < firstPlain {
		return l.t0.Add(time.Duration(l.step) * primerGap)
	}
	return l.t0.Add(primerLead + plainAt[l.step-firstPlain])
}

// attempt is one try to reach the peer directly, and when the next one is.
type attempt struct {
	begun    time.Time // zero: none runs
	t0       time.Time // when primers begin: arranged, or when we begin alone
	arranged bool
	asks     int       // requests for a PUNCH made; len(asksAt) = no more
	next     time.Time // the earliest step of any plan; zero = none
	end      time.Time
	failures int           // in a row
	retry    time.Time     // zero: no next one
	fresh    time.Time     // when a new address last broke the back-off
	knock    time.Time     // when addresses that once answered get a ping; zero: not planned
	pause    time.Duration // between such pings
}

func (a *attempt) running() bool { return !a.begun.IsZero() }

// deadline returns when pollAttempt has something to do, zero for never. The
// attempt does not end while an address is being verified.
func (a *attempt) deadline(verifying bool) time.Time {
	if !a.running() {
		return deadline.Earliest(a.retry, a.knock)
	}
	d := deadline.Earliest(a.next, a.knock)
	if a.asks < len(asksAt) {
		d = deadline.Earliest(d, a.begun.Add(asksAt[a.asks]))
	}
	if !verifying {
		d = deadline.Earliest(d, a.end)
	}
	return d
}

// fail ends the attempt without success, or counts a success that did not last.
// Another one follows after the next wait.
func (a *attempt) fail(now time.Time, random rand.Source) {
	wait := backoff[min(a.failures, len(backoff)-1)]
	a.failures++
	a.begun = time.Time{}
	a.retry = now.Add(jitter(random, wait, 20))
}

// begin starts an attempt over all addresses but the direct one. An attempt of
// our own asks for a PUNCH and gives it a second; one that a PUNCH began knows
// its T0.
func (p *Machine) begin(now, t0 time.Time, arranged bool) {
	a := &p.attempt
	a.begun, a.t0, a.arranged = now, t0, arranged
	a.asks, a.retry = 0, time.Time{}
	if arranged {
		a.asks = len(asksAt)
	}
	for _, r := range p.remotes {
		r.plan = plan{step: stepsEnd}
	}
	slot := 0
	for _, r := range p.remotes {
		if r != p.direct {
			p.planFrom(now, r, slot)
			slot++
		}
	}
	p.schedule()
}

// beginOwn starts an attempt that no PUNCH began.
func (p *Machine) beginOwn(now time.Time) { p.begin(now, now.Add(punchWait), false) }

// search starts an attempt without any address: for one that has just become
// known, or for a look at better ones. It asks for no PUNCH, and one that comes
// begins another attempt.
func (p *Machine) search(now time.Time) {
	a := &p.attempt
	a.begun, a.t0, a.arranged = now, now.Add(-punchMerge), true
	a.asks, a.retry = len(asksAt), time.Time{}
	for _, r := range p.remotes {
		r.plan = plan{step: stepsEnd}
	}
}

// planFrom gives r its steps in the running attempt. slot is its place among
// those that begin together.
func (p *Machine) planFrom(now time.Time, r *remote, slot int) {
	wait := time.Duration(slot) * stagger
	if !r.primed() {
		r.plan = plainPlan(now.Add(wait))
		return
	}
	t0 := p.attempt.t0
	if t0.Before(now) {
		t0 = now
	}
	r.plan = plan{t0: t0.Add(wait)}
}

// plainPlan is full probes from the given time on.
func plainPlan(from time.Time) plan {
	return plan{step: firstPlain, t0: from.Add(-primerLead)}
}

// schedule finds the next step of the attempt, and its end.
func (p *Machine) schedule() {
	a := &p.attempt
	a.next, a.end = time.Time{}, a.begun.Add(shortest)
	if p.direct == nil && p.special.running() && p.special.end.After(a.end) {
		a.end = p.special.end
	}
	for _, r := range p.remotes {
		if r.plan.step == stepsEnd {
			continue
		}
		a.next = deadline.Earliest(a.next, r.plan.due())
		last := r.plan
		last.step = stepsEnd - 1
		if end := last.due().Add(lastAnswer); end.After(a.end) {
			a.end = end
		}
	}
}

// pollAttempt sends what is due, and ends or begins the attempt.
func (p *Machine) pollAttempt(now time.Time, out *Output) {
	a := &p.attempt
	if !a.running() {
		if a.retry.IsZero() || now.Before(a.retry) {
			return
		}
		if !p.wanted(now) {
			p.rest()
			return
		}
		p.beginOwn(now)
	}
	for a.asks < len(asksAt) && !now.Before(a.begun.Add(asksAt[a.asks])) {
		a.asks++
		out.WantPunch = true
	}
	if !a.next.IsZero() && !now.Before(a.next) {
		p.pollPlans(now)
	}
	if !now.Before(a.end) && p.verify.remote == nil {
		p.finish(now)
	}
}

func (p *Machine) pollPlans(now time.Time) {
	for _, r := range p.remotes {
		for r.plan.step < stepsEnd && !now.Before(r.plan.due()) {
			ttl := uint8(0)
			if r.plan.step < firstPlain {
				ttl = primerTTL[r.plan.step]
			} else if r.quiet() {
				r.plan.step = stepsEnd
				break
			}
			r.plan.step++
			p.emit(now, r, 0, ttl)
		}
	}
	end := p.attempt.end
	p.schedule()
	if p.attempt.end.Before(end) {
		p.attempt.end = end // the last answer is still to be waited for
	}
}

// finish ends an attempt whose time is over.
func (p *Machine) finish(now time.Time) {
	switch {
	case p.settleForRelay(now):
	case p.direct != nil && !p.relayed():
		p.attempt.begun = time.Time{}
	case p.wanted(now):
		p.attempt.fail(now, p.random)
	default:
		p.rest()
	}
}

// halt takes back the probes that are left, since one address works. The first
// to answer is the nearest, or as good as; others get their chance when a better
// path is looked for.
func (p *Machine) halt() {
	p.attempt.asks = len(asksAt)
	p.special.next = time.Time{}
	for _, r := range p.remotes {
		r.plan.step = stepsEnd
	}
	if p.attempt.running() {
		p.schedule()
	}
}

// jitter returns d, up to percent more or less.
func jitter(random rand.Source, d time.Duration, percent int64) time.Duration {
	span := int64(d) * percent / 100
	return d + time.Duration(int64(random.Uint64()%uint64(2*span+1))-span)
}
