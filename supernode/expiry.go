package supernode

import (
	"time"

	"hedgerow/internal/timer"
)

const (
	// expiryPause is the time in which every registration is looked at once.
	expiryPause = 60 * time.Second
	// expiryRun is how many are looked at in one go, while nothing else is done.
	expiryRun = 4096
)

// expiry is how far the look at all registrations is.
type expiry struct {
	next timer.Timer
	left int // in registry.all: those before it are looked at next
}

// forget removes a registration, with the sessions that it may have, also from disk.
func (g *registrar) forget(r *registration) {
	if r.hop != nil {
		if r.hop.before != nil {
			g.sessions.remove(r.hop.before)
		}
		g.sessions.remove(r.hop)
		r.hop = nil
	}
	g.store.erase(r.key())
	g.registry.remove(r)
}

// expire removes registrations whose lease has ended. It goes through a part of the
// table, from the end to the beginning, since a removed one is replaced by the last.
func (g *registrar) expire(now time.Time) {
	all := g.registry.all
	if g.expiry.left <= 0 || g.expiry.left > len(all) {
		g.expiry.left = len(all)
	}
	parts := max(1, (len(all)+expiryRun-1)/expiryRun)
	g.expiry.next.Set(now.Add(expiryPause / time.Duration(parts)))
	end := max(0, g.expiry.left-expiryRun)
	for ; g.expiry.left > end; g.expiry.left-- {
		if r := all[g.expiry.left-1]; r.ended(now) {
			g.forget(r)
		}
	}
}
