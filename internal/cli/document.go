package cli

import (
	"context"
	"encoding/json"
	"io"
	"time"

	"github.com/urfave/cli/v2"
)

// watchEvery is how often a sub-command looks with --watch, and watchShare how many times
// as long as an answer took it waits at least, so that a large one does not busy the
// program that it is about.
const (
	watchEvery = time.Second
	watchShare = 4
)

// Document is a document of a running program that a sub-command shows, once, or with
// --watch again and again.
type Document[T any] struct {
	// Get asks the program. Its errors are shown as they are.
	Get func(ctx context.Context) (T, error)
	// Show writes the document for a person.
	Show func(w io.Writer, v T) error
	// Changes writes what differs between two documents; nil: there is no --watch.
	Changes func(w io.Writer, before, after T) error
}

// WatchFlag is --watch, for commands that show a Document which has Changes.
func WatchFlag() cli.Flag {
	return &cli.BoolFlag{Name: "watch", Usage: "go on, and show what changes", DisableDefaultText: true}
}

// Run is the sub-command that shows the document on out, as --json and --watch say.
func (d Document[T]) Run(c *cli.Context, out io.Writer) error {
	asked := time.Now()
	v, err := d.Get(c.Context)
	if err != nil {
		return err
	}
	switch {
	case Bool(c, "watch"):
		return d.watch(c.Context, out, v, time.Since(asked), Bool(c, "json"))
	case Bool(c, "json"):
		return PrintJSON(out, v)
	}
	return d.Show(out, v)
}

// watch shows a document that took some time and then what changes in it, until it is
// interrupted or the program ends. As JSON it is one document on a line each time.
func (d Document[T]) watch(ctx context.Context, out io.Writer, v T, took time.Duration, asJSON bool) error {
	show := func(v, before T) error { return d.Changes(out, before, v) }
	if asJSON {
		lines := json.NewEncoder(out)
		show = func(v, _ T) error { return lines.Encode(v) }
	}
	for before := *new(T); ; {
		if err := show(v, before); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(max(watchEvery-took, watchShare*took)):
		}
		before = v
		asked := time.Now()
		var err error
		if v, err = d.Get(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		took = time.Since(asked)
	}
}
