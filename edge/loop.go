package edge

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/deadline"
)

// eventBurst is how many events are handled before deadlines are looked at.
const eventBurst = 64

// owner is a concern of the control loop: it has a state of its own, and says when
// it has something to do next.
type owner interface {
	// deadline returns when tick has something to do, the zero time for never.
	deadline() time.Time
	// tick does what is due.
	tick(now time.Time)
}

// loop is the control loop. It owns every mutable state but the queues' buffers,
// reads the clock once for each event, and sleeps until the earliest deadline.
func (e *Edge) loop(ctx context.Context, ended <-chan error) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for !e.servers.addresses.taken {
		var ev dataplane.Event
		var ask func(now time.Time)
		select {
		case ev = <-e.data.plane.Known():
		default:
			timer.Reset(time.Until(e.deadline()))
			select {
			case ev = <-e.data.plane.Known():
			case ev = <-e.data.plane.Strangers():
			case ask = <-e.background.requests:
			case err := <-ended:
				if err != nil && !isClosed(err) {
					return fmt.Errorf("edge: %w", err)
				}
				return errors.New("edge: device or socket was closed")
			case <-timer.C:
			case <-ctx.Done():
				return nil
			}
		}
		now := time.Now()
		if ask != nil {
			ask(now)
			e.settle(now)
		}
		if ev != nil {
			e.handleEvents(now, ev)
		}
		e.tick(now)
	}
	return ErrAddressTaken
}

// handleEvents handles an event and those that wait behind it.
func (e *Edge) handleEvents(now time.Time, ev dataplane.Event) {
	for n := 0; ; n++ {
		e.handleEvent(now, ev)
		e.settle(now)
		if n == eventBurst {
			return
		}
		select {
		case ev = <-e.data.plane.Known():
		default:
			return
		}
	}
}

// deadline returns when tick has something to do next.
func (e *Edge) deadline() (at time.Time) {
	for _, o := range e.owners {
		at = deadline.Earliest(at, o.deadline())
	}
	return at
}

// tick does whatever is due, and settles what came of it.
func (e *Edge) tick(now time.Time) {
	for _, o := range e.owners {
		o.tick(now)
	}
	e.settle(now)
}

// isClosed reports whether an error of the device or socket is the end that
// Close brings.
func isClosed(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrClosed) || errors.Is(err, io.EOF)
}
