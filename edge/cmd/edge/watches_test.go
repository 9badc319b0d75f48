package main

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/tap"
)

// watchedTAP is a device whose watch tells one thing when it begins, and an MTU that grows
// with each event.
type watchedTAP struct {
	*memoryTAP
	tells tap.Condition
	phase time.Duration // that it was given
}

func (d *watchedTAP) Watch(ctx context.Context, w tap.Watching) {
	c := d.tells
	d.phase = w.Phase
	for {
		w.Tell(c)
		select {
		case <-ctx.Done():
			return
		case <-w.Events:
			c.MTU += 100
		}
	}
}

// The devices of an edge and of its links are watched whether they were there at the start
// or came later, until they are closed, and status has what is wrong with each.
func TestWatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		device := func(i int) *watchedTAP {
			return &watchedTAP{memoryTAP: new(memoryTAP), tells: tap.Condition{MTU: 1370 + i, Notes: []string{fmt.Sprint("note ", i)}}}
		}
		events := make(chan struct{})
		w := watches{listen: func() (<-chan struct{}, func(), error) { return events, func() {}, nil }}
		if c := w.condition(); c.MTU != 0 || len(c.Notes) != 0 {
			t.Errorf("without devices: %+v", c)
		}
		w.at(7 * time.Second)
		own, later := device(0), device(2)
		w.add(own, tap.Watching{})
		named := w.add(device(1), tap.Watching{Link: true})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.run(ctx)
		}()
		synctest.Wait()
		w.add(later, tap.Watching{Link: true})
		synctest.Wait()
		if own.phase != 7*time.Second || later.phase != own.phase {
			t.Errorf("they look at %v and %v, the edge does at 7 s", own.phase, later.phase)
		}
		if c := w.condition(); c.MTU != 1370 || !slices.Equal(c.Notes, []string{"note 0", "note 1", "note 2"}) {
			t.Errorf("watched: %+v", c)
		}
		events <- struct{}{}
		synctest.Wait()
		if c := w.condition(); c.MTU != 1470 {
			t.Errorf("after an event: %+v", c)
		}
		w.remove(named)
		if c := w.condition(); !slices.Equal(c.Notes, []string{"note 0", "note 2"}) {
			t.Errorf("after a link was closed: %+v", c)
		}
		for i := range 300 {
			w.add(device(i), tap.Watching{Link: true})
		}
		synctest.Wait()
		if c := w.condition(); len(c.Notes) != mostWatchNotes+1 || c.Notes[mostWatchNotes] != "286 more things are wrong with the devices of links: the log has them [E32]" {
			t.Errorf("302 devices: %d notes, at last %q", len(c.Notes), c.Notes[len(c.Notes)-1])
		}
		cancel()
		<-ended
	})
}
