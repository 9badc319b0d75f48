package edge

import (
	"time"

	"hedgerow/edge/control"
)

// A cost that changes by less than one part in costShare, and less than costStep, or sooner
// than costAgain after the last change that was told, is not told: routing protocols flood
// each change through the mesh.
const (
	costStep  = 16
	costShare = 8
	costAgain = 5 * time.Second
)

// toldLink is what was told of a link last.
type toldLink struct {
	up   bool
	path control.Path
	cost int
	at   time.Time
}

// changed reports whether the state of a link is worth telling, and notes it if so.
func (t *toldLink) changed(now time.Time, p control.Peer) bool {
	if p.Link.Carrier == t.up && (p.Path == t.path || !t.up) {
		step := max(costStep, t.cost/costShare)
		if !t.up || p.Link.Cost < t.cost+step && p.Link.Cost > t.cost-step || now.Sub(t.at) < costAgain {
			return false
		}
	}
	*t = toldLink{up: p.Link.Carrier, path: p.Path, cost: p.Link.Cost, at: now}
	return true
}

// report tells the user's hooks what has changed about a peer's link.
func (l *links) report(now time.Time, p *peer, k *link) {
	if l.changed == nil {
		return
	}
	if d := l.describer.peer(now, p); k.told.changed(now, d) {
		l.changed(d)
	}
}
