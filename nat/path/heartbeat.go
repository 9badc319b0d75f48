package path

import (
	"time"

	"hedgerow/nat/pmtu"
)

// The times of a direct path (NAT.md, section 1.3).
const (
	activeFor    = 15 * time.Second // after traffic, while a silent death must be found at once
	activeBeat   = time.Second
	idleBeat     = 15 * time.Second // +-10 %: keeps NAT mappings, which live 30 s and more
	keepFor      = 10 * time.Minute // after traffic; then the path is let go
	pingTimeout  = 300 * time.Millisecond
	resendAfter  = 200 * time.Millisecond
	maxMissed    = 3 // pings in a row, then the path is given up
	maxHeard     = 6 // instead, while packets of the peer still come in over it
	dualAfter    = 50 * time.Millisecond
	verifiedLife = time.Minute
)

// heartbeat watches the direct path.
type heartbeat struct {
	since   time.Time // when the path became direct
	sent    time.Time // the last ping
	heard   time.Time // the last authenticated packet from there
	next    time.Time // the next ping, or when the last one is missed
	waiting bool      // for the answer to the last ping
	missed  int       // in a row; above 0 the path is suspect
	loss    Loss      // of the pings
	dual    time.Time // traffic also goes by relay until then; zero = not
}

// declare makes r the direct path.
func (p *Machine) declare(now time.Time, r *remote, mtu int) {
	p.mtu = pmtu.New(p.wantMTU(r), mtu, pmtu.WatchEvery)
	p.mtu.Answered(now, mtu)
	h := heartbeat{since: now, sent: now, heard: now, next: now.Add(p.beat(now))}
	if p.direct == nil {
		// Make before break: what is on its way by relay still arrives, and
		// the peer may drop the first direct packets for a moment.
		h.dual = now.Add(r.rtt.smooth + dualAfter)
	}
	p.direct, p.heart = r, h
	p.verify = verification{}
	p.attempt.retry = time.Time{}
	if p.relayed() {
		p.attempt.fail(now, p.random)
	}
	p.better = now.Add(searchEvery)
	p.halt()
	p.touch(now)
}

// beat returns the time between pings.
func (p *Machine) beat(now time.Time) time.Duration {
	if p.active(now) {
		return activeBeat
	}
	return jitter(p.random, idleBeat, 10)
}

// hurry sends the next ping no later than d after the last.
func (h *heartbeat) hurry(d time.Duration) {
	if next := h.sent.Add(d); !h.waiting && next.Before(h.next) {
		h.next = next
	}
}

func (p *Machine) pollHeart(now time.Time) {
	h := &p.heart
	if p.direct == nil {
		return
	}
	if !h.dual.IsZero() && !now.Before(h.dual) {
		h.dual = time.Time{}
	}
	if now.Before(h.next) {
		return
	}
	wait := p.direct.rtt.timeout()
	if h.waiting {
		h.missed++
		if h.missed >= maxMissed && (h.heard.Before(h.sent) || h.missed >= maxHeard) {
			p.demote(now)
			return
		}
		wait = resendAfter
		if h.missed >= maxMissed-1 {
			wait = max(wait, p.direct.rtt.smooth+4*p.direct.rtt.variation)
		}
	}
	h.waiting, h.sent, h.next = true, now, now.Add(wait)
	p.countMissed()
	p.send(now, ping{remote: p.direct, beat: true}, 0)
}

// countMissed counts the heartbeats that are still unanswered as lost, for now.
func (p *Machine) countMissed() {
	for i := range p.pings {
		if one := &p.pings[i]; one.beat && !one.missed && one.remote == p.direct {
			one.missed = true
			p.heart.loss.Add(false)
		}
	}
}

// pollMTU sends what the discovery of the direct path's size asks for. Its
// packets are no heartbeats: what is large may get lost on a path that lives.
// A path that turns out to carry small packets only is given up.
func (p *Machine) pollMTU(now time.Time) {
	r := p.direct
	if r == nil {
		return
	}
	for _, size := range p.mtu.Poll(now, r.rtt.timeout(), p.active(now)) {
		p.emit(now, r, size, 0)
	}
	if p.mtu.Failed() {
		r.failed = now
		p.demote(now)
	}
}

// answered takes the PONG of a ping over the direct path.
func (p *Machine) answered(now time.Time, one ping) {
	h := &p.heart
	switch {
	case one.beat && one.missed:
		h.loss.late()
	case one.beat:
		h.loss.Add(true)
	}
	h.waiting, h.missed, h.heard = false, 0, now
	h.next = h.sent.Add(p.beat(now))
}

// demote gives the direct path up. Another attempt begins at once, but to a path
// that again and again lives for seconds only by the back-off.
func (p *Machine) demote(now time.Time) {
	lived := now.Sub(p.heart.since)
	p.direct, p.heart, p.verify = nil, heartbeat{}, verification{}
	p.better = time.Time{}
	p.knockAfter(now, lived)
	switch {
	case lived >= settled:
		p.attempt.failures = 0
		p.beginOwn(now)
	case p.attempt.failures == 0:
		p.attempt.failures++
		p.beginOwn(now)
	default:
		p.attempt.fail(now, p.random)
	}
}
