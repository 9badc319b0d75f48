package supernode

import (
	"context"
	"time"

	"hedgerow/internal/handover"
	"hedgerow/internal/timer"
	"hedgerow/supernode/admission"
)

const (
	// reviewRun is how many registrations are looked at in one go, while nothing else is
	// done: it takes as long as a train does.
	reviewRun = 256
	// reviewPause is the time between two goes, in which packets are handled.
	reviewPause = time.Millisecond
)

// reviews go through the registrations after the operator has changed the rules, and end
// those that are admitted no more. Nobody else notices: a go looks at some, and ends no
// more than notices may leave at once.
type reviews struct {
	registrar *registrar
	lists     *listReviews
	sender    *controlSender
	out       *outbox // of the timers' goroutine
	alarm     alarm
	next      timer.Timer
	left      int           // of registry.all: those before it are looked at next
	ended     int           // registrations that reviews have ended
	said      int           // of those, how many the log has said
	over      chan struct{} // closed when the review that is under way is over; nil: there is none
}

// start begins a review, or begins it again, and returns what is closed when it is over.
func (v *reviews) start(now time.Time) <-chan struct{} {
	v.left = len(v.registrar.registry.all)
	if v.over == nil {
		v.over = make(chan struct{})
	}
	v.next.Set(now)
	v.alarm.ring()
	return v.over
}

// step looks at some registrations, from the end to the beginning, since a removed one is
// replaced by the last.
func (v *reviews) step(now time.Time) {
	ended := 0
	for range reviewRun {
		all := v.registrar.registry.all
		if v.left = min(v.left, len(all)); v.left == 0 || ended == packetsAPace {
			break
		}
		v.left--
		if verdict := v.ask(now, all[v.left]); verdict.Reason != admission.Admitted {
			ended += v.end(now, all[v.left], verdict)
		}
	}
	v.ended += ended
	switch {
	case v.left == 0:
		if v.ended > v.said {
			v.registrar.log.Info("edges were removed that the rules do not admit", "edges", v.ended-v.said)
			v.said = v.ended
		}
		close(v.over)
		v.over = nil
	case ended > 0:
		v.next.Set(now.Add(pace))
	default:
		v.next.Set(now.Add(reviewPause))
	}
}

// ask asks whether the operator still admits an edge that is registered.
func (v *reviews) ask(now time.Time, r *registration) admission.Verdict {
	source := r.seat.source
	if r.hop != nil {
		source = r.hop.source
	}
	return v.registrar.policy.Decide(now, &admission.Request{CID: r.community.id, NameHash: r.community.nameHash, Identity: r.owner, Source: source})
}

// end ends a registration that is not admitted, tells its edge why, and returns how many
// have ended. An edge that may come again keeps its lease.
func (v *reviews) end(now time.Time, r *registration, verdict admission.Verdict) int {
	g, why := v.registrar, notAdmitted(now, verdict)
	again := !verdict.Until.IsZero()
	if again && r.hop == nil {
		return 0
	}
	if r.index() != 0 {
		v.sender.message(v.out, r.hop, &why.nak)
	}
	g.log.Debug("an edge is not admitted any more", append(r.attributes(), "reason", why.reason.String())...)
	if again {
		g.sessions.end(r.hop)
	} else {
		g.forget(r)
	}
	return 1
}

// SetRules replaces the rules by which edges are admitted, and ends the registrations of
// those that are not any more. It returns how many those were, once all are looked at. If ctx
// ends before, it returns how many they are so far, and the cause; the rules hold, and the
// others end, in any case. Run has to be running.
func (s *Server) SetRules(ctx context.Context, rules *admission.Rules) (ended int, err error) {
	return s.change(ctx, func(p *admission.Policy, _ time.Time) error {
		p.Replace(rules)
		return nil
	})
}

// Pardon lets an edge that was kicked come again at once.
func (s *Server) Pardon(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reviews.registrar.policy.Pardon(id)
}

// Kick ends the sessions of an edge, which crypto.ParseID reads, and keeps it away for
// admission.KickTime. It returns as SetRules does.
func (s *Server) Kick(ctx context.Context, id string) (ended int, err error) {
	return s.change(ctx, func(p *admission.Policy, now time.Time) error { return p.Kick(now, id) })
}

// Review ends the registrations of edges that are not admitted any more, since a token was
// taken back. It returns as SetRules does.
func (s *Server) Review(ctx context.Context) (ended int, err error) {
	return s.change(ctx, func(*admission.Policy, time.Time) error { return nil })
}

// change changes the policy, and reviews who is registered.
func (s *Server) change(ctx context.Context, f func(*admission.Policy, time.Time) error) (ended int, err error) {
	if !s.sockets.gate.Enter() {
		return 0, handover.ErrHandedOver
	}
	s.mu.Lock()
	before := s.reviews.ended
	now := s.cfg.Now()
	if err = f(s.reviews.registrar.policy, now); err != nil {
		s.mu.Unlock()
		s.sockets.gate.Leave()
		return 0, err
	}
	over := s.reviews.start(now)
	s.mu.Unlock()
	s.sockets.gate.Leave()
	select {
	case <-over:
	case <-s.sockets.gate.Left():
		return 0, handover.ErrHandedOver
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reviews.ended - before, err
}
