package supernode

import "time"

const (
	// expiryPause is the time in which every registration is looked at once.
	expiryPause = 60 * time.Second
	// expiryRun is how many are looked at in one go, while nothing else is done.
	expiryRun = 4096
)

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
	if g.expired <= 0 || g.expired > len(all) {
		g.expired = len(all)
	}
	parts := max(1, (len(all)+expiryRun-1)/expiryRun)
	g.expiring.Set(now.Add(expiryPause / time.Duration(parts)))
	end := max(0, g.expired-expiryRun)
	for ; g.expired > end; g.expired-- {
		if r := all[g.expired-1]; r.ended(now) {
			g.forget(r)
		}
	}
}
