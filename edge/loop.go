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

// Bounds of one turn of the loop. Authenticated peers can keep their queue full for
// ever, so a turn ends after so many of their events or so long, and everybody else
// gets a share of each: deadlines, strangers, questions of the user, and the end.
const (
	eventBurst  = 64
	burstTime   = 5 * time.Millisecond
	othersBurst = 8 // events of strangers, and questions
)

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
		select {
		case ev := <-e.data.plane.Known():
			e.handleEvents(ev)
		default:
			if done, err := e.wait(ctx, ended, timer); done {
				return err
			}
		}
		if done, err := e.serveOthers(ctx, ended); done {
			return err
		}
		e.tick(time.Now())
	}
	return ErrAddressTaken
}

// wait sleeps until there is something to do, and does it. It reports whether the
// edge is to end.
func (e *Edge) wait(ctx context.Context, ended <-chan error, timer *time.Timer) (done bool, err error) {
	timer.Reset(time.Until(e.deadline()))
	select {
	case ev := <-e.data.plane.Known():
		e.handleEvents(ev)
	case ev := <-e.data.plane.Strangers():
		e.handleOne(ev)
	case ask := <-e.background.requests:
		e.answerOne(ask)
	case err := <-ended:
		return true, lost(err)
	case <-timer.C:
	case <-ctx.Done():
		return true, nil
	}
	return false, nil
}

// handleEvents handles an event of an authenticated peer and those that wait behind
// it, as many as one turn has.
func (e *Edge) handleEvents(ev dataplane.Event) {
	for began, n := time.Now(), 1; ; n++ {
		e.handleOne(ev)
		if n == eventBurst || time.Since(began) >= burstTime {
			return
		}
		select {
		case ev = <-e.data.plane.Known():
		default:
			return
		}
	}
}

// serveOthers does a share of what waits beside the events of authenticated peers,
// however many of those there are. It reports whether the edge is to end.
func (e *Edge) serveOthers(ctx context.Context, ended <-chan error) (done bool, err error) {
	for range othersBurst {
		select {
		case <-ctx.Done():
			return true, nil
		case err := <-ended:
			return true, lost(err)
		case ask := <-e.background.requests:
			e.answerOne(ask)
			continue
		default:
		}
		select {
		case ev := <-e.data.plane.Strangers():
			e.handleOne(ev)
		default:
			return false, nil
		}
	}
	return false, nil
}

// handleOne handles one event and settles what came of it.
func (e *Edge) handleOne(ev dataplane.Event) {
	now := time.Now()
	e.handleEvent(now, ev)
	e.settle(now)
}

// answerOne answers a question and settles what came of it.
func (e *Edge) answerOne(ask func(now time.Time)) {
	now := time.Now()
	ask(now)
	e.settle(now)
}

// lost returns the error of an edge whose device or socket has ended.
func lost(err error) error {
	if err != nil && !isClosed(err) {
		return fmt.Errorf("edge: %w", err)
	}
	return errors.New("edge: device or socket was closed")
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
