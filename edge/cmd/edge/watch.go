package main

import (
	"context"
	"encoding/json"
	"io"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/render"
)

// watchEvery is how often a sub-command looks with --watch.
const watchEvery = time.Second

// document is a document of a running edge that a sub-command shows, once, or with --watch
// again and again.
type document[T any] struct {
	get     func(control.Socket, context.Context) (T, error)
	show    func(w io.Writer, v T) error
	changes func(w io.Writer, before, after T) error // nil: there is no --watch
}

// run is the sub-command that shows it.
func (d document[T]) run(cmd *command, c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	v, err := d.get(socket, c.Context)
	if err != nil {
		return callError(socket, err)
	}
	switch {
	case c.Bool("watch"):
		return d.watch(c.Context, cmd.streams.Out, socket, v, c.Bool("json"))
	case c.Bool("json"):
		return cli.PrintJSON(cmd.streams.Out, v)
	}
	return d.show(cmd.streams.Out, v)
}

// watch shows a document and then what changes in it, until it is interrupted or the edge
// ends. As JSON it is one document on a line each time.
func (d document[T]) watch(ctx context.Context, out io.Writer, socket control.Socket, v T, asJSON bool) error {
	show := func(v, before T) error { return d.changes(out, before, v) }
	if asJSON {
		lines := json.NewEncoder(out)
		show = func(v, _ T) error { return lines.Encode(v) }
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for before := *new(T); ; {
		if err := show(v, before); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		before = v
		var err error
		if v, err = d.get(socket, ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return callError(socket, err)
		}
	}
}

// fdb is "edge fdb".
func (cmd *command) fdb(c *ucli.Context) error {
	if c.Bool("groups") {
		if c.Bool("watch") {
			return cli.Errorf(cli.Usage, "", "--groups shows what there is, not what changes: type it without --watch")
		}
		return document[control.Groups]{get: groups, show: render.Groups}.run(cmd, c)
	}
	return document[control.FDB]{control.Socket.FDB, render.FDB, render.FDBChanges}.run(cmd, c)
}

// groups asks an edge for the multicast groups that hosts have joined.
func groups(s control.Socket, ctx context.Context) (control.Groups, error) {
	v, err := s.FDB(ctx)
	return v.Groups, err
}

// routes is "edge routes".
func (cmd *command) routes(c *ucli.Context) error {
	return document[control.Routes]{control.Socket.Routes, render.Routes, render.RouteChanges}.run(cmd, c)
}

// watchFlags are the options of a sub-command that can go on.
func watchFlags() []ucli.Flag {
	return append(readFlags(), &ucli.BoolFlag{Name: "watch", Usage: "go on, and show what changes", DisableDefaultText: true})
}

// fdbFlags are the options of "edge fdb".
func fdbFlags() []ucli.Flag {
	return append(watchFlags(), &ucli.BoolFlag{Name: "groups", Usage: "show which multicast groups hosts have joined behind which edge", DisableDefaultText: true})
}
