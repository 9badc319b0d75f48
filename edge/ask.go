package edge

import (
	"context"
	"errors"
	"time"
)

// errEnded is what questions to an edge that no longer runs get.
var errEnded = errors.New("edge: not running")

// ask runs f in the control loop and waits for it.
func ask[T any](ctx context.Context, e *Edge, f func(now time.Time) T) (T, error) {
	answer := make(chan T, 1)
	var zero T
	select {
	case e.background.requests <- func(now time.Time) { answer <- f(now) }:
		return <-answer, nil
	case <-e.background.done:
		return zero, errEnded
	case <-ctx.Done():
		return zero, ctx.Err()
	}
}
