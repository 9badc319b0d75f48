package fair

import "time"

const (
	// patience is for how long a loop may be busy without a moment in which nothing was
	// left to read before it is full: what comes at once in a busy network, or has waited while
	// the system gave the processor to somebody else, takes less.
	patience = 20 * time.Millisecond
	// interval is how often the rate is changed while it is full: up by rise if there was
	// such a moment, else down by fall. The first time it is found out, which takes longer.
	interval = time.Millisecond
	first    = 5 * time.Millisecond
	rise     = 1.01
	fall     = 0.995
	// calm is for how long nothing was refused when it is no longer full.
	calm = 100 * time.Millisecond
	// pause is the most of a pause between two batches that counts as being busy: the
	// system may have given the processor to somebody else meanwhile.
	pause = time.Millisecond
	// waits is how much may wait, as a time.
	waits = 4 * time.Millisecond
	// floorPart is the part of what the loop could do when it became full that is never
	// taken away: with less, a flood that costs as much to refuse as to read would stop it.
	floorPart = 1.0 / 4
)

// Loop is the Line of a loop that handles what it reads in batches. While the loop keeps
// up there is no Line: Full is false, and Take and Force are not to be called.
type Loop struct {
	Line
	full    bool
	floor   float64       // of Rate; 0: it is not known yet
	last    time.Time     // the batch before
	busy    time.Duration // since nothing was left to read last; while it is full, of the interval
	done    done
	refused time.Time // the last refusal
	others  Group     // all who cannot be refused
	other   Member
}

// done is what was done in an interval.
type done struct {
	emptied        bool    // nothing was left to read
	shared, forced float64 // by Take, by Force
}

// Full reports whether the loop does not keep up, so that Take decides who is handled.
func (l *Loop) Full() bool { return l.full }

// Batch says that a batch was read at a time, and whether it was all that there was.
func (l *Loop) Batch(now time.Time, all bool) {
	l.busy += min(max(now.Sub(l.last), 0), pause)
	l.last = now
	switch {
	case l.full:
		l.done.emptied = l.done.emptied || all
		if l.busy >= interval && l.floor > 0 || l.busy >= first {
			l.adapt(now)
		}
	case all:
		l.busy = 0
	case l.busy > patience:
		l.full, l.floor = true, 0
		l.Rate, l.Most = unknown, unknown
		l.busy, l.done, l.refused = 0, done{}, now
	}
}

// unknown is a rate without an end.
const unknown = 1 << 60

// adapt changes the rate after an interval.
func (l *Loop) adapt(now time.Time) {
	switch d := &l.done; {
	case now.Sub(l.refused) > calm || now.Before(l.refused):
		l.full = false
		l.clear()
	case l.floor == 0:
		l.Rate = max(d.shared+d.forced, 1) / l.busy.Seconds()
		l.floor = l.Rate * floorPart
		l.clear()
	case d.emptied:
		l.Rate *= rise
	case d.shared >= d.forced: // what is refused makes room
		l.Rate = max(l.Rate*fall, l.floor)
	}
	l.Most = l.Rate * waits.Seconds()
	l.busy, l.done = 0, done{}
}

// Take is Line.Take.
func (l *Loop) Take(now time.Time, g *Group, m *Member, size float64) bool {
	if !l.Line.Take(now, g, m, size) {
		l.refused = now
		return false
	}
	l.done.shared += size
	return true
}

// Add is Line.Add.
func (l *Loop) Add(g *Group, m *Member, size float64) {
	l.Line.Add(g, m, size)
	l.done.shared += size
}

// Force counts what is handled for somebody who is of no group, whether there is room for it
// or not. All of them together are one group.
func (l *Loop) Force(now time.Time, size float64) {
	l.done.forced += size
	l.Line.Take(now, &l.others, &l.other, size)
}
