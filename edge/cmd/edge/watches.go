package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/netwatch"
	"hedgerow/tap"
)

// mostWatchNotes bounds what status says of the devices of links, which may be hundreds
// with one thing wrong.
const mostWatchNotes = 16

// watches keep the devices of an edge as they are to be: the community's, and those of its
// links, which come and go.
type watches struct {
	listen  func() (events <-chan struct{}, stop func(), err error) // nil: netwatch.Events
	mu      sync.Mutex
	running sync.WaitGroup
	ctx     context.Context // of run; nil before it and after it
	events  bool            // the system tells of changes
	phase   time.Duration   // of the edge's own moments
	list    []*watch        // the community's is the first
}

// watch is one device that is watched.
type watch struct {
	device tapDevice
	with   tap.Watching
	wake   chan struct{} // a token for each change of the network
	stop   context.CancelFunc
	now    tap.Condition // as it was told last
}

// add watches a device until remove or the end of run.
func (w *watches) add(d tapDevice, with tap.Watching) *watch {
	x := &watch{device: d, with: with, wake: make(chan struct{}, 1)}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, x)
	if w.ctx != nil {
		w.begin(x)
	}
	return x
}

// remove ends the watch of a device that is going to be closed.
func (w *watches) remove(x *watch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = slices.DeleteFunc(w.list, func(y *watch) bool { return y == x })
	if x.stop != nil {
		x.stop()
	}
}

// begin starts a watch; the lock is held.
func (w *watches) begin(x *watch) {
	var ctx context.Context
	ctx, x.stop = context.WithCancel(w.ctx)
	if w.events {
		x.with.Events = x.wake
	}
	x.with.Phase = w.phase
	x.with.Tell = func(c tap.Condition) {
		w.mu.Lock()
		defer w.mu.Unlock()
		x.now = c
	}
	w.running.Go(func() { x.device.Watch(ctx, x.with) })
}

// at has the devices be looked at in the moments of an edge, whose phase it is told. It is
// called before run.
func (w *watches) at(phase time.Duration) { w.phase = phase }

// run watches the devices until ctx ends.
func (w *watches) run(ctx context.Context) {
	listen := w.listen
	if listen == nil {
		listen = netwatch.Events
	}
	events, stop, err := listen()
	if err == nil { // else they are looked at every second
		defer stop()
	}
	w.mu.Lock()
	w.ctx, w.events = ctx, err == nil
	for _, x := range w.list {
		w.begin(x)
	}
	w.mu.Unlock()
	defer func() {
		w.mu.Lock()
		w.ctx = nil
		w.mu.Unlock()
		w.running.Wait()
	}()
	for {
		select {
		case <-ctx.Done():
			return
		case _, ok := <-events:
			w.spread(ok)
			if !ok {
				events = nil
			}
		}
	}
}

// spread wakes all watches, or has them look every second from now on.
func (w *watches) spread(goesOn bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = goesOn
	for _, x := range w.list {
		switch {
		case !goesOn:
			close(x.wake)
		default:
			select {
			case x.wake <- struct{}{}:
			default:
			}
		}
	}
}

// condition returns what became of the community's device, with the notes about all.
func (w *watches) condition() (c tap.Condition) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, x := range w.list {
		if i == 0 {
			c = x.now
			c.Notes = slices.Clip(c.Notes)
			continue
		}
		c.Notes = append(c.Notes, x.now.Notes...)
	}
	if n := len(c.Notes) - mostWatchNotes; n > 0 {
		c.Notes = append(c.Notes[:mostWatchNotes:mostWatchNotes], fmt.Sprintf("%d more things are wrong with the devices of links: the log has them [E32]", n))
	}
	return c
}
