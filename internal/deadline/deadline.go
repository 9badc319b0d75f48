// Package deadline has the questions that whoever sleeps until the next of several
// deadlines asks. A deadline is a time, of which zero means never.
package deadline

import "time"

// Earliest returns the earliest of the deadlines, zero when there is none.
func Earliest(first time.Time, others ...time.Time) time.Time {
	for _, t := range others {
		if first.IsZero() || !t.IsZero() && t.Before(first) {
			first = t
		}
	}
	return first
}

// Due reports whether a deadline has come. One that is zero never comes.
func Due(now, at time.Time) bool { return !at.IsZero() && !now.Before(at) }

// Shared returns the first time from least on that is a whole number of every, which is
// above 0, from a phase of time.Unix(0, 0). What need not be done to the second is done at
// such a time, together with everything else of that kind, so that it costs one wake-up. It
// is less than every after least.
func Shared(least time.Time, every, phase time.Duration) time.Time {
	past := (time.Duration(least.UnixNano()) - phase) % every
	if past < 0 {
		past += every
	}
	return least.Add((every - past) % every)
}

// Next returns the first such time after now: when something is due again that is done at
// each of them.
func Next(now time.Time, every, phase time.Duration) time.Time {
	return Shared(now.Add(1), every, phase)
}
