package supernode

import (
	"context"
	"time"
)

// runTimers does what is due by time until ctx ends.
func (s *Server) runTimers(ctx context.Context) {
	s.mu.Lock()
	s.begin(s.cfg.Now())
	s.mu.Unlock()
	sleep := time.NewTimer(0)
	defer sleep.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-sleep.C:
		case <-s.notices.alarm:
		}
		if !s.sockets.gate.Enter() {
			return
		}
		s.mu.Lock()
		now := s.cfg.Now()
		s.timers.Run(now)
		next := s.timers.Next()
		s.mu.Unlock()
		s.sockets.flush(s.notices.out)
		s.sockets.gate.Leave()
		sleep.Reset(next.Sub(now))
	}
}

// begin sets the timers of the start. The sweep and the expiry are always set from
// then on.
func (s *Server) begin(now time.Time) {
	s.sessions.sweeping.Set(now.Add(sweepPause))
	s.controls.registrar.expiry.next.Set(now.Add(expiryPause))
	s.reviews.lists.begin(now)
	s.notices.begin(now)
	s.controls.redirects.begin(now)
	if s.sockets.keys.former != nil {
		s.controls.rotation.begin(now)
	}
	if len(s.registry.all) > 0 { // the rules may have changed meanwhile
		s.reviews.start(now)
	}
	s.health.watch(now)
}
