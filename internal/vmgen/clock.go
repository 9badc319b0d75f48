package vmgen

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// ClockEvery is how often a Clock is worth reading.
	ClockEvery = time.Second
	// ClockRest is how often where WatchSet tells when it is.
	ClockRest = 10 * time.Second
	// Forward is how far the wall clock may be set forward. The monotonic clock of a
	// machine that is restored goes on where it was, and the wall clock is set to what
	// time it is: even the shortest way from a snapshot to its copy must be seen. No
	// correction by slewing comes near.
	Forward = 250 * time.Millisecond
	// clockReadings is how many readings are compared with. The wall clock is read before
	// the monotonic one, so that a pause between the two makes it seem late, never early:
	// the highest of a few readings is right.
	clockReadings = 4
)

// Clock compares the wall clock with the monotonic one. Its zero value is ready.
type Clock struct {
	first time.Time       // carries wall and monotonic readings
	ahead []time.Duration // the last readings of how far the wall clock has run ahead of the monotonic one
}

// Step returns by how much the wall clock was set forward since the last readings, or back
// if it is negative, as now carries both. It may be late by some hundred milliseconds for a
// step back, never for one forward. A step of more than Forward, or back of more than back,
// begins the comparison anew.
func (c *Clock) Step(now time.Time, back time.Duration) time.Duration {
	if c.first.IsZero() {
		c.first, c.ahead = now, []time.Duration{0}
		return 0
	}
	ahead := now.Round(0).Sub(c.first.Round(0)) - now.Sub(c.first)
	by := ahead - slices.Max(c.ahead)
	switch {
	case by > Forward || by < -back:
		c.ahead = c.ahead[:0]
	case len(c.ahead) == clockReadings:
		c.ahead = append(c.ahead[:0], c.ahead[1:]...)
	}
	c.ahead = append(c.ahead, ahead)
	return by
}

// WatchClock calls forked whenever the wall clock is set forward by more than Forward,
// until ctx ends. tell is WatchSet, or what stands for it: the clock is read when that
// calls set and seldom otherwise, and every second after tell has failed.
func WatchClock(ctx context.Context, tell func(ctx context.Context, set func()) error, forked func()) {
	told, untold := make(chan struct{}, 1), make(chan struct{})
	var telling sync.WaitGroup
	defer telling.Wait()
	telling.Go(func() {
		err := tell(ctx, func() {
			select {
			case told <- struct{}{}:
			default: // it will be read
			}
		})
		if err != nil {
			close(untold)
		}
	})
	timer := time.NewTimer(0)
	defer timer.Stop()
	every := ClockRest
	for c := new(Clock); ; {
		select {
		case <-timer.C:
		case <-told:
		case <-untold:
			every, untold = ClockEvery, nil
		case <-ctx.Done():
			return
		}
		if c.Step(time.Now(), time.Minute) > Forward {
			forked()
		}
		timer.Reset(every)
	}
}
