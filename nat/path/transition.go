package path

import (
	"time"

	"hedgerow/internal/deadline"
)

// Transition is one change of a path's state, or of its selected address within
// StateDirect or StateSuspect.
type Transition struct {
	From, To State
	// Why names the event in words, with the address that it happened to; for an
	// attempt that failed, the likely obstacle and the refusals so far.
	Why string
}

// reported is the state and the route that the caller knows, or will know by the next
// Poll.
type reported struct {
	wakeAt   time.Time // Deadline; zero = none
	route    Route
	state    State
	selected *remote
	list     []Transition // since the last Poll
}

// wake makes the next Poll look at everything, from the time now on.
func (r *reported) wake(now time.Time) { r.wakeAt = deadline.Earliest(r.wakeAt, now) }

// poll returns the transitions since the last call, and whether the route has changed.
func (r *reported) poll(route Route) (list []Transition, changed bool) {
	list, changed = r.list, !route.sameButTimes(r.route)
	r.list, r.route = nil, route
	return list, changed
}

// report adds a transition to those that the next Poll returns, if the state or the
// selected remote is no longer the one reported last. Every function that
// changes either calls it, since only there the reason is known; about may be nil.
func (p *Machine) report(now time.Time, why string, about *remote) {
	r, state := &p.reported, p.state()
	if state == r.state && p.selection.remote == r.selected {
		return
	}
	if about != nil {
		why = about.String() + " " + why
	}
	r.list = append(r.list, Transition{From: r.state, To: state, Why: why})
	r.state, r.selected = state, p.selection.remote
	r.wake(now)
}
