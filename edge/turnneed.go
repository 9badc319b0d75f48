package edge

import (
	"time"

	"hedgerow/edge/underlay"
)

// turnAfter is how long there has to be traffic without a direct path before a
// TURN server is needed (docs/NAT.md, "TURN servers").
const turnAfter = 3 * time.Second

// settleTURN asks the TURN servers for help for a peer that frames go to and that
// has had no direct path for a while, or whose path leads through one.
func (r *routing) settleTURN(now time.Time, p *peer) {
	n, to := &p.reach.turn, p.view.Route()
	direct := to.Direct.IsValid() || p.reach.avoids()
	switch {
	case p.reach.path == nil || p.sessions.sealing() == nil:
		n.stop()
		return
	case direct && underlay.IsSide(to.Direct):
		n.since = now.Add(-turnAfter)
	case direct, !r.peers.active(now, p):
		n.stop()
		return
	case n.since.IsZero():
		n.since = now
	}
	if wait := n.since.Add(turnAfter); now.Before(wait) {
		n.timer.Set(wait)
	} else if !n.timer.IsSet() {
		r.underlay.TURN.Need(now, p.reach.path.Remotes().IPv4())
		n.timer.Set(now.Add(underlay.NeedLasts / 2))
	}
}
