package sim

import "time"

// some returns all cases, or with the race detector the first, since the others race in
// the same code and hours of a community take it minutes.
func some[T any](cases ...T) []T {
	if race {
		return cases[:1]
	}
	return cases
}

// span returns how long a test goes on, or how long it does with the race detector, which
// finds nothing more in the same frames for hours.
func span(long, raced time.Duration) time.Duration {
	if race {
		return raced
	}
	return long
}
