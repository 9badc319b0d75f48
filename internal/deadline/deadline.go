// Package deadline has the two questions that whoever sleeps until the next of
// several deadlines asks. A deadline is a time, of which zero means never.
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
