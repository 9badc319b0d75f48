package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"

	"hedgerow/integration/rig"
)

// settings are what the command line says about a campaign.
type settings struct {
	programs rig.Programs
	cells    []cell
	runs     int // of a cell, unless it is run on
	parallel int // cells at a time
	verbose  bool
}

// A campaign runs cells.
type campaign struct {
	settings
	out io.Writer

	mu      sync.Mutex // of out as well
	tallies []tally    // of the cells that have been run, in the order of cells
}

// A tally is the outcomes of one cell.
type tally struct {
	cell
	outcomes []outcome
	verdict  verdict
}

// run runs all cells and returns the first error that kept it from that.
func (c *campaign) run(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	next := make(chan int)
	done := make([]tally, len(c.cells))
	var workers sync.WaitGroup
	for range c.parallel {
		workers.Go(func() {
			for i := range next {
				t, err := c.try(ctx, c.cells[i])
				if err != nil {
					stop(err)
					continue
				}
				done[i] = t
			}
		})
	}
	for i := range c.cells {
		select {
		case next <- i:
		case <-ctx.Done():
		}
	}
	close(next)
	workers.Wait()
	c.tallies = slices.DeleteFunc(done, func(t tally) bool { return len(t.outcomes) == 0 })
	return context.Cause(ctx)
}

// try runs one cell until something can be said about it.
func (c *campaign) try(ctx context.Context, cell cell) (t tally, err error) {
	t = tally{cell: cell, verdict: undecided}
	for t.verdict == undecided {
		o, err := perform(ctx, c.programs, cell, len(t.outcomes))
		if err != nil {
			return t, err
		}
		t.outcomes = append(t.outcomes, o)
		t.verdict = cell.want.judge(len(t.outcomes), t.missed(), c.runs)
		if c.verbose {
			c.say("  %s\n", o)
			if o.logs != "" {
				c.say("%s\n", o.logs)
			}
		}
	}
	c.say("%s\n", t)
	return t, nil
}

// say prints at once, whoever prints beside.
func (c *campaign) say(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(c.out, format, args...)
}

// missed is how many runs were not as they must be.
func (t tally) missed() (n int) {
	for _, o := range t.outcomes {
		if o.Missed != "" {
			n++
		}
	}
	return n
}

// failures are the names of the cells that are not as they must be.
func (c *campaign) failures() (names []string) {
	for _, t := range c.tallies {
		if t.verdict != passed {
			names = append(names, t.name)
		}
	}
	return names
}
