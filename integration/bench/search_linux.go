package main

import (
	"fmt"
	"math"
)

// A search looks for the highest rate without loss. Its functions make a short
// trial at a rate, one of full length, and one at twice the rate.
type search struct {
	probe, confirm, twice func(rate float64) (trial, error)
	hint                  float64 // a rate found before, or 0
	close                 float64 // how far apart, as a factor, the last two rates are
	again                 int     // how often it begins anew if twice the rate is not lost either
}

const (
	firstRate  = 50e3 // of a search without a hint, a second
	leastRate  = 100  // below this nothing is worth looking for
	stepDown   = 0.97 // from a rate that did not hold to the next one
	smallSteps = 4    // after so many the next ones are twice as large, and so on
)

// run returns the trial at the highest rate without loss, and the one at twice
// that rate.
func (s search) run() (best, over trial, err error) {
	for again := s.again; ; again-- {
		if best, err = s.highest(); err != nil {
			return best, over, err
		}
		over, err = s.twice(best.rate())
		// Another process may have disturbed the search, and only that.
		if err != nil || again <= 0 || !over.clean() || over.rate() < best.rate()*doubt {
			return best, over, err
		}
		s.hint = over.rate()
	}
}

// doubt is by how much more than the highest rate the sender may send without
// loss before that rate is searched again.
const doubt = 1.1

// highest finds the rate and returns the trial that confirmed it.
func (s search) highest() (trial, error) {
	rate, err := s.bisect()
	for failed := 1; err == nil && rate >= leastRate; failed++ {
		var t trial
		if t, err = s.confirm(rate); err == nil && t.held() {
			return t, nil
		}
		if err == nil && t.clean() {
			// A sender that cannot offer more than this has found the limit.
			rate = min(rate, t.rate()/stepDown)
		}
		// Where the short trials misled by far, larger steps.
		rate *= math.Pow(stepDown, math.Ceil(float64(failed)/smallSteps))
	}
	if err == nil {
		err = fmt.Errorf("datagrams are lost even at %d a second", leastRate)
	}
	return trial{}, err
}

// bisect narrows the rate down by short trials.
func (s search) bisect() (low float64, err error) {
	rate, grow, high := firstRate, 2.0, 0.0
	if s.hint > 0 {
		rate, grow = s.hint, 1.15
	}
	for high == 0 || high > low*s.close {
		t, err := s.probeAgain(rate)
		if err != nil {
			return 0, err
		}
		switch {
		case t.held():
			low = rate
		case t.clean():
			// The sender cannot offer as much, but did offer this.
			low, high = max(low, t.rate()), rate
		default:
			high = rate
		}
		switch {
		case high == 0:
			rate = low * grow
		case low == 0:
			rate = high / grow
		default:
			rate = low + (high-low)/2
		}
		if rate < leastRate {
			return leastRate, nil
		}
	}
	return low, nil
}

// probeAgain probes a rate, and once more if it missed by so little that it may have
// been another process's fault.
func (s search) probeAgain(rate float64) (t trial, err error) {
	t, err = s.probe(rate)
	if err == nil && !t.held() && !t.GaveUp {
		t, err = s.probe(rate)
	}
	return t, err
}
