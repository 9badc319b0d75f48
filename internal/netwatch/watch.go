package netwatch

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

const (
	// quiet is for how long nothing may happen before the watcher looks: a
	// network that comes up does so in many small steps.
	quiet = 250 * time.Millisecond
	// latest is how long after the first of many events it looks in any case.
	latest = time.Second
	// pollEvery is how often it looks where nothing tells it to, and how soon
	// again after the system refused.
	pollEvery = 5 * time.Second
)

// Config says what Watch ignores, and how.
type Config struct {
	// Exclude reports whether the interface of this name is ignored, such as our
	// own TAP device, with its addresses and default routes. It is called for
	// every interface at every read, from Watch's goroutine. Nil excludes none.
	Exclude func(ifname string) bool
	// Log gets a warning when the network can no longer be read, one for all
	// that follow each other. Nil means slog.Default().
	Log *slog.Logger
}

// Read returns the present state. The error is the system's refusal.
func Read(cfg Config) (State, error) {
	r, err := read()
	if err != nil {
		return State{}, fmt.Errorf("cannot read the network of this host: %w", err)
	}
	return r.state(cfg.Exclude), nil
}

// Watch calls changed with every change of the host's network until ctx ends,
// and then returns nil. It reports a change 250 ms after the last event, or 1 s
// after the first when they do not stop; by polling it takes 5 s. It calls
// changed from its own goroutine and does not read the network before changed
// returns; the changes meanwhile are reported as one. The error says that the
// network cannot be read to begin with.
//
// A Linux process watches the network namespace of the thread that calls Watch,
// which must be locked to it if the process is in several (see netns(7)).
func Watch(ctx context.Context, cfg Config, changed func(Change)) error {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	w := watcher{
		read:    func() (State, error) { return Read(cfg) },
		changed: changed,
		log:     cfg.Log,
	}
	// Before the first look, so that nothing falls between the two.
	if l, err := listen(); err == nil {
		defer l.close()
		w.events = l.events
	}
	return w.run(ctx)
}

// Events returns a channel that gets a token when something of the host's network has
// changed, and is closed when there will be no more; stop ends it. A token that was not
// received yet stands for all later changes. The error is that of a system that tells
// nothing.
func Events() (events <-chan struct{}, stop func(), err error) {
	l, err := listen()
	if err != nil {
		return nil, nil, err
	}
	return l.events, l.close, nil
}

// watcher is the part that does not depend on the system.
type watcher struct {
	read    func() (State, error)
	events  <-chan struct{} // tokens; nil or closed: the system sends no events, poll
	changed func(Change)
	log     *slog.Logger

	state  State
	failed bool // at the last look
}

// run is Watch.
func (w *watcher) run(ctx context.Context) (err error) {
	if w.state, err = w.read(); err != nil {
		return err
	}
	timer := time.NewTimer(pollEvery)
	defer timer.Stop()
	if w.events != nil {
		timer.Stop()
	}
	var first time.Time // of the events since the last look
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-w.events:
			if !ok {
				w.events = nil // its last events may be lost
			}
			now := time.Now()
			if first.IsZero() {
				first = now
			}
			timer.Reset(min(quiet, first.Add(latest).Sub(now)))
		case <-timer.C:
			first = time.Time{}
			w.look()
			if w.events == nil || w.failed {
				timer.Reset(pollEvery)
			}
		}
	}
}

// look reads the state and reports a change.
func (w *watcher) look() {
	now, err := w.read()
	if err != nil {
		if !w.failed {
			w.log.Warn("a change of the network may go unnoticed", "err", err)
		}
		w.failed = true
		return
	}
	w.failed = false
	if now.Equal(w.state) {
		return
	}
	c := Change{Before: w.state, After: now}
	w.state = now
	w.changed(c)
}
