package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/render"
)

// watchEvery is how often "edge fdb --watch" looks.
const watchEvery = time.Second

// fdb is "edge fdb".
func (cmd *command) fdb(c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	v, err := socket.FDB(c.Context)
	if err != nil {
		return callError(socket, err)
	}
	switch {
	case c.Bool("watch"):
		return cmd.watchFDB(c.Context, socket, v, c.Bool("json"))
	case c.Bool("json"):
		return cli.PrintJSON(cmd.streams.Out, v)
	}
	return render.FDB(cmd.streams.Out, v)
}

// watchFDB shows a database and then what changes in it, until it is interrupted or the
// edge ends. As JSON it is one document on a line each time.
func (cmd *command) watchFDB(ctx context.Context, socket control.Socket, v control.FDB, asJSON bool) error {
	show := func(v, before control.FDB) error { return render.FDBChanges(cmd.streams.Out, before, v) }
	if asJSON {
		lines := json.NewEncoder(cmd.streams.Out)
		show = func(v, _ control.FDB) error { return lines.Encode(v) }
	}
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	for before := (control.FDB{}); ; {
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
		if v, err = socket.FDB(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return callError(socket, err)
		}
	}
}

// fdbFlags are the options of "edge fdb".
func fdbFlags() []ucli.Flag {
	return append(readFlags(), &ucli.BoolFlag{Name: "watch", Usage: "go on, and show what changes", DisableDefaultText: true})
}

// parseFDBSize reads the value of --fdb-size: how many stations, and how many behind
// one edge.
func parseFDBSize(s string) (bridge.Size, error) {
	all, behind, both := strings.Cut(s, ",")
	size := bridge.Size{}
	var err, other error
	size.All, err = strconv.Atoi(all)
	size.Behind = min(size.All, bridge.DefaultSize.Behind)
	if both {
		size.Behind, other = strconv.Atoi(behind)
	}
	if err != nil || other != nil {
		return bridge.Size{}, fmt.Errorf("--fdb-size %s is not one number, or two with a comma: type one such as %d,%d [E27]",
			s, bridge.DefaultSize.All, bridge.DefaultSize.Behind)
	}
	if err := size.Check(); err != nil {
		return bridge.Size{}, fmt.Errorf("--fdb-size %s: %w; type one such as %d,%d [E27]", s, err, bridge.DefaultSize.All, bridge.DefaultSize.Behind)
	}
	return size, nil
}
