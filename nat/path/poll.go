package path

import (
	"time"

	"hedgerow/internal/deadline"
)

// Poll returns what is to be done now. Between two deadlines it does nothing
// and allocates nothing.
func (p *Machine) Poll(now time.Time) Output {
	var out Output
	if p.face.wake.IsZero() || now.Before(p.face.wake) {
		return out
	}
	p.probes = p.probes[:0]
	if p.direct != nil && !now.Before(p.keptUntil()) {
		p.rest()
	}
	p.pollHeart(now)
	p.pollVerify(now)
	p.pollMTU(now)
	p.pollBetter(now)
	p.pollSpecial(now)
	p.pollKnock(now)
	p.pollAttempt(now, &out)
	p.face.wake = p.deadline()
	out.Probes = p.probes
	route := p.Route()
	told := &p.face.told
	out.Changed = route.Direct != told.Direct || route.Relay != told.Relay || route.State != told.State || route.MTU != told.MTU
	*told = route
	return out
}

// Deadline returns when Poll has something to do next, the zero time for not
// before the next input. It costs nothing.
func (p *Machine) Deadline() time.Time { return p.face.wake }

func (p *Machine) deadline() time.Time {
	d := p.attempt.deadline(p.verify.remote != nil)
	if p.verify.remote != nil {
		d = deadline.Earliest(d, p.verify.next)
	}
	if p.special.running() {
		d = deadline.Earliest(deadline.Earliest(d, p.special.next), p.special.end)
	}
	if p.direct == nil {
		return d
	}
	d = deadline.Earliest(deadline.Earliest(d, p.heart.next), p.heart.dual)
	d = deadline.Earliest(d, p.mtu.Deadline())
	return deadline.Earliest(deadline.Earliest(d, p.better), p.keptUntil())
}

// touch makes the next Poll look, at now.
func (p *Machine) touch(now time.Time) { p.face.wake = deadline.Earliest(p.face.wake, now) }

// Route returns which way traffic goes now. It costs nothing.
func (p *Machine) Route() Route {
	if p.direct == nil {
		return Route{Relay: true, State: p.indirectState()}
	}
	r := Route{Direct: p.direct.addr, RTT: p.direct.rtt.smooth, State: StateDirect, MTU: p.mtu.Size(), Seen: p.direct.seen, Kind: p.direct.kind}
	r.Relay = !p.heart.dual.IsZero()
	if p.heart.missed > 0 {
		r.State, r.Relay = StateSuspect, true
	}
	return r
}

func (p *Machine) indirectState() State {
	switch {
	case p.verify.remote != nil:
		return StateVerify
	case p.attempt.running():
		return StatePunch
	case !p.attempt.retry.IsZero():
		return StateRelay
	}
	return StateIdle
}

// active reports whether there was traffic within 15 s.
func (p *Machine) active(now time.Time) bool {
	return !p.used.IsZero() && now.Sub(p.used) < activeFor
}

// wanted reports whether there was traffic recently enough to look for a direct
// path.
func (p *Machine) wanted(now time.Time) bool {
	return !p.used.IsZero() && now.Sub(p.used) < keepFor
}

// keptUntil returns when an unused direct path is let go.
func (p *Machine) keptUntil() time.Time {
	if p.used.After(p.heart.since) {
		return p.used.Add(keepFor)
	}
	return p.heart.since.Add(keepFor)
}
