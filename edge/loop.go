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
	t := turns{edge: e, known: e.data.plane.Known(), strangers: e.data.plane.Strangers(), ended: ended, timer: time.NewTimer(0)}
	defer t.timer.Stop()
	for !e.servers.addresses.taken {
		select {
		case ev := <-t.known:
			t.events(ev)
		default:
			if done, err := t.wait(ctx); done {
				return err
			}
		}
		if done, err := t.others(ctx); done {
			return err
		}
		e.tick(time.Now())
	}
	return ErrAddressTaken
}

// turns are what the control loop does by turns.
type turns struct {
	edge             *Edge
	known, strangers <-chan dataplane.Event
	ended            <-chan error
	timer            *time.Timer
}

// wait sleeps until there is something to do, and does it. It reports whether the
// edge is to end.
func (t *turns) wait(ctx context.Context) (done bool, err error) {
	t.timer.Reset(time.Until(t.edge.deadline()))
	t.edge.background.sleeps.Add(1)
	select {
	case ev := <-t.known:
		t.events(ev)
	case ev := <-t.strangers:
		t.event(ev)
	case ask := <-t.edge.background.requests:
		return t.answer(ask), nil
	case err := <-t.ended:
		return true, lost(err)
	case <-t.timer.C:
	case <-ctx.Done():
		return true, nil
	}
	return false, nil
}

// events handles an event of an authenticated peer and those that wait behind it, as
// many as one turn has.
func (t *turns) events(ev dataplane.Event) {
	for began, n := time.Now(), 1; ; n++ {
		t.event(ev)
		if n == eventBurst || time.Since(began) >= burstTime {
			return
		}
		select {
		case ev = <-t.known:
		default:
			return
		}
	}
}

// others does a share of what waits beside the events of authenticated peers, however
// many of those there are. It reports whether the edge is to end.
func (t *turns) others(ctx context.Context) (done bool, err error) {
	for range othersBurst {
		select {
		case <-ctx.Done():
			return true, nil
		case err := <-t.ended:
			return true, lost(err)
		case ask := <-t.edge.background.requests:
			if t.answer(ask) {
				return true, nil
			}
			continue
		default:
		}
		select {
		case ev := <-t.strangers:
			t.event(ev)
		default:
			return false, nil
		}
	}
	return false, nil
}

// event handles one event and settles what came of it.
func (t *turns) event(ev dataplane.Event) {
	now := time.Now()
	glance(t.edge, now)
	t.edge.handleEvent(now, ev)
	t.edge.settle(now)
}

// answer answers a question and settles what came of it. It reports whether the edge is to
// end at once, since another process has taken over.
func (t *turns) answer(ask func(now time.Time)) (done bool) {
	now := time.Now()
	glance(t.edge, now)
	ask(now)
	if t.edge.data.plane.Gates().Handed() {
		return true
	}
	t.edge.settle(now)
	return false
}

// Sleeps returns how often the control loop has slept until there was something to do. It may
// be called from any goroutine.
func (e *Edge) Sleeps() uint64 { return e.background.sleeps.Load() }

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
	glance(e, now)
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
