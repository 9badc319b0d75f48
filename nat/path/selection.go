package path

import (
	"fmt"
	"time"

	"hedgerow/internal/deadline"
	"hedgerow/nat/address"
	"hedgerow/nat/pmtu"
)

// selection is the selected remote (RFC 8445 speaks of the selected pair), over
// which frames go directly, and watches it.
type selection struct {
	remote *remote // nil: no direct path
	heart  heartbeat
	mtu    pmtu.Discovery
	better time.Time // when a better remote is looked for
}

// exists reports whether there is a direct path.
func (s *selection) exists() bool { return s.remote != nil }

// suspect reports whether the direct path is in doubt.
func (s *selection) suspect() bool { return s.heart.missed > 0 }

// viaTURN reports whether the direct path leads through a TURN server. A better one is
// looked for as if there were none.
func (s *selection) viaTURN() bool { return s.exists() && s.remote.kind == address.KindTURN }

// keptUntil returns when the direct path is let go if it is not used.
func (s *selection) keptUntil(u usage) time.Time {
	if u.last.After(s.heart.since) {
		return u.last.Add(keepFor)
	}
	return s.heart.since.Add(keepFor)
}

// deadline returns when something is to be done for the direct path, zero without
// one.
func (s *selection) deadline(u usage) time.Time {
	if !s.exists() {
		return time.Time{}
	}
	return deadline.Earliest(s.heart.next, s.heart.dual, s.mtu.Deadline(), s.better, s.keptUntil(u))
}

// selectRemote makes r the direct path, which is known to carry IP packets of size
// bytes.
func (p *Machine) selectRemote(now time.Time, r *remote, size int) {
	s := &p.selection
	h := newHeartbeat(now, p.prober.beat(now, p.usage.active(now)))
	if !s.exists() {
		// Make before break: frames that the supernode has not delivered yet still arrive,
		// and the peer may drop the first direct packets for a moment.
		h.dual = now.Add(r.rtt.smooth + dualAfter)
	}
	*s = selection{remote: r, heart: h, mtu: pmtu.New(p.prober.fullSize(r), size, pmtu.WatchEvery), better: now.Add(searchEvery)}
	s.mtu.Answered(now, size)
	p.nomination = nomination{}
	p.attempt.retry = time.Time{}
	if s.viaTURN() {
		p.attempt.fail(now, p.prober.random)
	}
	// The probes that are left are cancelled, since one remote works. The first to
	// answer is the nearest, or as good as; others get their chance when a better
	// one is looked for.
	p.attempt.asks, p.hardNAT.next = len(asksAt), time.Time{}
	p.remotes.stopPlans()
	if p.attempt.running() {
		p.schedule()
	}
	p.report(now, fmt.Sprintf("carries IP packets of %d bytes", size), r)
	p.reported.wake(now)
}

// giveUp gives the direct path up, so that frames go by the relayed one. Another attempt begins at once, but to a path
// that again and again lives for seconds only by the back-off.
func (p *Machine) giveUp(now time.Time, why string) {
	lost, lived := p.selection.remote, now.Sub(p.selection.heart.since)
	p.selection, p.nomination = selection{}, nomination{}
	p.recheck.after(now, lived)
	switch {
	case lived >= stableAfter:
		p.attempt.failures = 0
		p.beginOwn(now)
	case p.attempt.failures == 0:
		p.attempt.failures++
		p.beginOwn(now)
	default:
		p.attempt.fail(now, p.prober.random)
	}
	p.report(now, why, lost)
}

// pollSize sends the pings that the discovery of the direct path's size asks for. Its packets
// are no heartbeats: large ones may get lost on a path that lives. It reports
// false for a path that turns out to carry small packets only.
func (s *selection) pollSize(now time.Time, active bool, with *prober) bool {
	if !s.exists() {
		return true
	}
	for _, size := range s.mtu.Poll(now, s.remote.rtt.timeout(), active) {
		with.check(now, s.remote, size, 0)
	}
	if s.mtu.Failed() {
		s.remote.failed = now
		return false
	}
	return true
}
