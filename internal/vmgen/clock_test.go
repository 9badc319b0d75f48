package vmgen

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// TestClockSteady finds no step where both clocks go on, however seldom they are read. A
// clock that is set is in edge.TestClockWatch, which can make such times.
func TestClockSteady(t *testing.T) {
	var c Clock
	now := time.Now()
	for _, elapsed := range []time.Duration{0, time.Second, 0, time.Hour, time.Millisecond, 24 * time.Hour} {
		now = now.Add(elapsed)
		if by := c.Step(now, time.Minute); by != 0 {
			t.Errorf("a step of %v after %v", by, elapsed)
		}
	}
}

// TestWatchClock ends with its context and reports nothing meanwhile, whether the system
// tells when the clock is set or not.
func TestWatchClock(t *testing.T) {
	for _, fault := range []error{nil, errors.ErrUnsupported} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			tell := func(ctx context.Context, set func()) error {
				if fault == nil {
					for range 3 {
						set()
						time.Sleep(time.Minute)
					}
					<-ctx.Done()
				}
				return fault
			}
			WatchClock(ctx, tell, func() { t.Error("the clock was not set") })
		})
	}
}
