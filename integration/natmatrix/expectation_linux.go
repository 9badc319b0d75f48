package main

import "fmt"

// An expectation is how the edges of a cell must reach each other.
type expectation byte

// The letters are those of the matrix.
const (
	wantDirect   expectation = 'D' // directly, in time
	wantBirthday expectation = 'B' // directly, in time, mostly: ports are guessed
	wantRelay    expectation = 'R' // by the relay, and nothing is lost
	wantEither   expectation = 'E' // by either
)

func (e expectation) String() string {
	switch e {
	case wantDirect:
		return "direct"
	case wantBirthday:
		return "birthday"
	case wantRelay:
		return "relay"
	case wantEither:
		return "either"
	}
	return fmt.Sprintf("expectation %q", byte(e))
}

// Sizes of a cell that is run in full, and of one that is run on.
const (
	fullRuns = 20
	longRuns = 100
)

// allowed is how many of so many runs may miss: in a birthday cell one in 20,
// else one in 100, and none of fewer.
func (e expectation) allowed(runs int) int {
	if e == wantBirthday {
		return runs / fullRuns
	}
	return runs / longRuns
}

// A verdict is what is to be done with a cell after its runs.
type verdict uint8

const (
	passed verdict = iota
	failed
	undecided // it is to be run on
)

// judge decides about a cell that missed so often in its runs, of which so many
// were asked for. Once it is run on, all of the long runs are needed: to end at
// the first favourable moment would make every cell look better than it is.
func (e expectation) judge(runs, missed, asked int) verdict {
	switch {
	case missed > max(e.allowed(asked), e.allowed(longRuns)):
		return failed
	case runs < asked:
		return undecided
	case runs == asked && missed <= e.allowed(asked):
		return passed
	case runs >= longRuns && missed <= e.allowed(longRuns):
		return passed
	case asked >= fullRuns && runs < longRuns:
		return undecided
	}
	return failed
}
