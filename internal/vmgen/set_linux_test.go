package vmgen

import (
	"context"
	"testing"
	"time"
)

// WatchSet tells of nothing while the clock is not set, and ends with its context. What it
// tells is the kernel's; no test sets this machine's clock.
func TestWatchSet(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	before := time.Now()
	calls := 0
	if err := WatchSet(ctx, func() { calls++ }); err != nil {
		t.Fatal(err)
	}
	var c Clock
	c.Step(before, 0)
	if by := c.Step(time.Now(), 0); calls > 0 && by.Abs() < time.Millisecond {
		t.Errorf("told %d times, and the clock was set by %v", calls, by)
	}
}
