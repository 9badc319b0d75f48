package supernode

import (
	"context"
	"time"
)

// How often the timers send and look.
const (
	pace         = 10 * time.Millisecond
	packetsAPace = 50               // 5000 a second
	sweepPause   = 2 * time.Second  // between two looks for dead sessions
	expiryPause  = 60 * time.Second // between two looks for ended leases
)

// timers are the next times at which something is due.
type timers struct {
	paced, sweep, expiry time.Time
}

// runTimers does what is due by time until ctx ends.
func (s *Server) runTimers(ctx context.Context) {
	out := newOutbox(s.sockets.mask)
	s.mu.Lock()
	now := s.cfg.Now()
	s.resets.start = now
	s.timers = timers{sweep: now.Add(sweepPause), expiry: now.Add(expiryPause)}
	s.mu.Unlock()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		s.mu.Lock()
		now := s.cfg.Now()
		s.runDue(now, out)
		next := s.nextDue()
		s.mu.Unlock()
		s.sockets.flush(out)
		timer.Reset(next.Sub(now))
	}
}

// wakeTimers makes the timers look at once.
func (s *Server) wakeTimers() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// nextDue returns the earliest time at which there is something to do.
func (s *Server) nextDue() time.Time {
	next := s.timers.sweep
	if s.timers.expiry.Before(next) {
		next = s.timers.expiry
	}
	paced, work := s.resets.due()
	if len(s.pushes.list) > 0 {
		paced, work = s.timers.paced, true
	}
	if work {
		if paced.Before(s.timers.paced) {
			paced = s.timers.paced
		}
		if paced.Before(next) {
			next = paced
		}
	}
	return next
}

func (s *Server) runDue(now time.Time, out *outbox) {
	if !now.Before(s.timers.paced) {
		s.sendPaced(now, out)
	}
	if !now.Before(s.timers.sweep) {
		s.timers.sweep = now.Add(sweepPause)
		s.sweep(now)
	}
	if !now.Before(s.timers.expiry) {
		s.timers.expiry = now.Add(expiryPause)
		s.expire(now)
	}
}

// sendPaced sends packets that may wait a few milliseconds: first the RESETs of the
// start, then the pushes about restarted edges.
func (s *Server) sendPaced(now time.Time, out *outbox) {
	sent := 0
	for ; sent < packetsAPace; sent++ {
		if at, ok := s.resets.due(); ok && !now.Before(at) {
			s.sendReset(out, s.resets.pop())
		} else if len(s.pushes.list) > 0 {
			s.sendPush(out)
		} else {
			break
		}
	}
	if sent > 0 {
		s.timers.paced = now.Add(pace)
	}
}

// sweep ends dead sessions and takes silent edges offline. When guests fill most of
// their table, none stays longer than a silent one would, since an attacker could
// keep all places by sending now and then.
func (s *Server) sweep(now time.Time) {
	crowded := s.hops.guests > s.cfg.Limits.Guests*3/4
	for _, h := range s.hops.byIdx {
		if h.dead(now) || crowded && h.reg == nil && now.Sub(h.created) > guestTime {
			s.end(h)
			continue
		}
		if r := h.reg; r != nil && r.hop == h && r.place >= 0 && now.Sub(h.heard) > offlineTime {
			s.registry.setOffline(r)
			s.save(r)
			s.cfg.Log.Debug("edge is silent", "mac", r.mac.String(), "address", r.addr)
		}
	}
}

// expire removes registrations whose lease has ended.
func (s *Server) expire(now time.Time) {
	for _, r := range s.registry.byHandle {
		if r.ended(now) {
			s.forget(r)
		}
	}
}
