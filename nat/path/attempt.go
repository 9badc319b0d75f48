package path

import (
	"math/rand/v2"
	"time"

	"hedgerow/internal/deadline"
)

// The times of attempts (docs/NAT.md, "An attempt").
const (
	punchWait     = time.Second // without a PUNCH we begin alone
	punchMerge    = time.Second // a PUNCH this soon after T0 means the same attempt
	maxPunchDelay = 2 * time.Second
	stableAfter   = 10 * time.Second // a direct path that lived so long was a success
	freshEvery    = 30 * time.Second // how often new addresses may break the back-off
)

// asksAt are the times of our requests for a PUNCH: the supernode may lose one.
var asksAt = [...]time.Duration{0, 250 * time.Millisecond, 750 * time.Millisecond}

// backoff is the wait after each failed attempt in a row, +-20 %. It never ends.
var backoff = [...]time.Duration{2 * time.Second, 5 * time.Second, 10 * time.Second, 30 * time.Second,
	60 * time.Second, 120 * time.Second, 300 * time.Second}

// attempt is one try to reach the peer directly, and when the next one is. In RFC
// 8445 it is the run of a checklist.
type attempt struct {
	begun    time.Time // zero: none runs
	t0       time.Time // when primers begin: arranged, or when we begin alone
	arranged bool
	asks     int       // requests for a PUNCH made; len(asksAt) = no more
	next     time.Time // the earliest step of any plan; zero = none
	end      time.Time
	failures int       // in a row
	retry    time.Time // zero: no next one
	fresh    time.Time // when a new address last broke the back-off
}

func (a *attempt) running() bool { return !a.begun.IsZero() }

// deadline returns when pollAttempt has something to do, zero for never. The
// attempt does not end while a remote is nominated.
func (a *attempt) deadline(nominated bool) time.Time {
	if !a.running() {
		return a.retry
	}
	d := a.next
	if a.asks < len(asksAt) {
		d = deadline.Earliest(d, a.begun.Add(asksAt[a.asks]))
	}
	if !nominated {
		d = deadline.Earliest(d, a.end)
	}
	return d
}

// start begins an attempt without any address in it. One that a PUNCH began knows
// its T0 and asks for none.
func (a *attempt) start(now, t0 time.Time, arranged bool) {
	a.begun, a.t0, a.arranged = now, t0, arranged
	a.asks, a.retry = 0, time.Time{}
	if arranged {
		a.asks = len(asksAt)
	}
}

// startEmpty begins an attempt for addresses that have just become known, or for a
// look at better ones. It asks for no PUNCH, and one that comes begins another
// attempt.
func (a *attempt) startEmpty(now time.Time, l *remotes) {
	a.start(now, now.Add(-punchMerge), true)
	l.clearPlans()
}

// fail ends the attempt without success, or counts a success that did not last.
// Another one follows after the next wait.
func (a *attempt) fail(now time.Time, random rand.Source) {
	wait := backoff[min(a.failures, len(backoff)-1)]
	a.failures++
	a.begun = time.Time{}
	a.retry = now.Add(jitter(random, wait, 20))
}

// breakBackoff sets the back-off to its beginning, at most once in 30 s, and reports
// whether it did.
func (a *attempt) breakBackoff(now time.Time) bool {
	if !a.fresh.IsZero() && now.Sub(a.fresh) < freshEvery {
		return false
	}
	a.failures, a.fresh = 0, now
	return true
}

// begin starts an attempt over all remotes but the selected one.
func (p *Machine) begin(now, t0 time.Time, arranged bool) {
	p.attempt.start(now, t0, arranged)
	p.remotes.clearPlans()
	slot := 0
	for _, r := range p.remotes.list {
		if r != p.selection.remote {
			p.attempt.plan(now, r, slot)
			slot++
		}
	}
	p.schedule()
}

// beginOwn starts an attempt that no PUNCH began: it asks for one, and gives it a
// second.
func (p *Machine) beginOwn(now time.Time) { p.begin(now, now.Add(punchWait), false) }

// schedule finds the next step of the running attempt, and its end. Without a direct
// path it lasts as long as a technique that runs.
func (p *Machine) schedule() {
	var atLeast time.Time
	if !p.selection.exists() && p.hardNAT.running() {
		atLeast = p.hardNAT.end
	}
	p.attempt.schedule(p.remotes.list, atLeast)
}

// pollAttempt sends the probes that are due, and ends or begins the attempt.
func (p *Machine) pollAttempt(now time.Time, out *Output) {
	a := &p.attempt
	if !a.running() {
		if !deadline.Due(now, a.retry) {
			return
		}
		if !p.usage.wanted(now) {
			p.letGo()
			p.report(now, noTraffic, nil)
			return
		}
		p.beginOwn(now)
		p.report(now, "the wait is over", nil)
	}
	for a.asks < len(asksAt) && !now.Before(a.begun.Add(asksAt[a.asks])) {
		a.asks++
		out.WantPunch = true
	}
	if deadline.Due(now, a.next) {
		a.sendDue(now, p.remotes.list, &p.prober)
		end := a.end
		p.schedule()
		if a.end.Before(end) {
			a.end = end // the last answer is still to be waited for
		}
	}
	if !now.Before(a.end) && !p.nomination.runs() {
		p.finish(now)
	}
}

// finish ends an attempt whose time is over.
func (p *Machine) finish(now time.Time) {
	s := &p.selection
	relayed := p.remotes.relayedSince(now, p.attempt.begun)
	switch {
	case !s.exists() && relayed != nil: // nothing that needs no TURN server has answered
		p.nomination.begin(now, relayed)
		p.report(now, "answered, and nothing else did", relayed)
		p.pollNomination(now) // its turn in this Poll is over
	case s.exists() && !s.viaTURN():
		p.attempt.begun = time.Time{}
	case p.usage.wanted(now):
		p.attempt.fail(now, p.prober.random)
		p.report(now, WithRefusals(p.Why(now), p.prober.refusals), nil)
	default:
		p.letGo()
		p.report(now, noTraffic, nil)
	}
}

// jitter returns d, up to percent more or less.
func jitter(random rand.Source, d time.Duration, percent int64) time.Duration {
	span := int64(d) * percent / 100
	return d + time.Duration(int64(random.Uint64()%uint64(2*span+1))-span)
}
