package supernode

import "time"

// expiryPause is the time between two looks for ended leases.
const expiryPause = 60 * time.Second

// forget removes a registration, with the session that it may have, also from disk.
func (g *registrar) forget(r *registration) {
	if r.hop != nil {
		g.sessions.remove(r.hop)
		r.hop = nil
	}
	g.store.erase(r.key())
	g.registry.remove(r)
}

// expire removes registrations whose lease has ended.
func (g *registrar) expire(now time.Time) {
	g.expiring.Set(now.Add(expiryPause))
	for _, r := range g.registry.byHandle {
		if r.ended(now) {
			g.forget(r)
		}
	}
}
