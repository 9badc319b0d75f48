package main

import (
	"context"
	"io"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/render"
)

// show is a sub-command that shows a document of a running edge. changes is nil without
// --watch.
func show[T any](cmd *command, c *ucli.Context, get func(control.Socket, context.Context) (T, error), write func(io.Writer, T) error, changes func(w io.Writer, before, after T) error) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	return cli.Document[T]{Show: write, Changes: changes, Get: func(ctx context.Context) (T, error) {
		v, err := get(socket, ctx)
		if err != nil {
			return v, callError(socket, err)
		}
		return v, nil
	}}.Run(c, cmd.streams.Out)
}

// fdb is "edge fdb".
func (cmd *command) fdb(c *ucli.Context) error {
	if c.Bool("groups") {
		if c.Bool("watch") {
			return cli.Errorf(cli.Usage, "", "--groups shows what there is, not what changes: type it without --watch")
		}
		return show(cmd, c, groups, render.Groups, nil)
	}
	return show(cmd, c, control.Socket.FDB, render.FDB, render.FDBChanges)
}

// groups asks an edge for the multicast groups that hosts have joined.
func groups(s control.Socket, ctx context.Context) (control.Groups, error) {
	v, err := s.FDB(ctx)
	return v.Groups, err
}

// routes is "edge routes".
func (cmd *command) routes(c *ucli.Context) error {
	return show(cmd, c, control.Socket.Routes, render.Routes, render.RouteChanges)
}

// watchFlags are the options of a sub-command that can go on.
func watchFlags() []ucli.Flag { return append(readFlags(), cli.WatchFlag()) }

// fdbFlags are the options of "edge fdb".
func fdbFlags() []ucli.Flag {
	return append(watchFlags(), &ucli.BoolFlag{Name: "groups", Usage: "show which multicast groups hosts have joined behind which edge", DisableDefaultText: true})
}
