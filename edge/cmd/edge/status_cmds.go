package main

import (
	"fmt"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/internal/render"
)

// status is "edge status".
func (cmd *command) status(c *ucli.Context) error {
	return show(cmd, c, control.Socket.Status, render.Status, nil)
}

// health is "edge health": for monitors, which look at the exit code.
func (cmd *command) health(c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return cli.Health(cmd.streams.Out, nil, err)
	}
	v, err := socket.Status(c.Context)
	if err != nil {
		err = callError(socket, err)
	}
	return cli.Health(cmd.streams.Out, v.Notes, err)
}

// peers is "edge peers".
func (cmd *command) peers(c *ucli.Context) error {
	return show(cmd, c, control.Socket.Peers, render.Peers, nil)
}

// members is "edge members".
func (cmd *command) members(c *ucli.Context) error {
	return show(cmd, c, control.Socket.Members, render.Members, nil)
}

// counters is "edge counters".
func (cmd *command) counters(c *ucli.Context) error {
	return show(cmd, c, control.Socket.Counters, render.Counters, nil)
}

// keys is "edge keys": of a running edge, or of a community file.
func (cmd *command) keys(c *ucli.Context) error {
	v, err := cmd.keyDocument(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return cli.PrintJSON(cmd.streams.Out, v)
	}
	return render.Keys(cmd.streams.Out, v, cmd.now())
}

func (cmd *command) keyDocument(c *ucli.Context) (control.Keys, error) {
	if path, ok := cli.String(c, "community-file"); ok {
		if other, ok := cli.String(c, "control"); ok {
			return control.Keys{}, cli.Errorf(cli.Usage, "", "--community-file %s and --control %s exclude each other: take one away", path, other)
		}
		source := crypto.FileSource{Path: path}
		found, err := source.Load(c.Context)
		if err != nil {
			return control.Keys{}, keyChoice{kind: keyCommunityFile, text: path, from: "--community-file"}.fault(err)
		}
		// The build time matters to a clock that is wrong, which here would only
		// hide what the file says.
		v := edge.KeyStatus(found, crypto.NewSchedule(found, time.Time{}), cmd.now())
		v.Source = "file"
		return v, nil
	}
	socket, err := cmd.socket(c)
	if err != nil {
		return control.Keys{}, err
	}
	v, err := socket.KeyStatus(c.Context)
	if err != nil {
		return v, callError(socket, err)
	}
	return v, nil
}

// socket returns the control socket: the one that was named, or the only one.
func (cmd *command) socket(c *ucli.Context) (control.Socket, error) {
	if path, ok := cli.String(c, "control"); ok && path != "" {
		return control.Socket(path), nil
	}
	found := cmd.place.Sockets()
	switch len(found) {
	case 1:
		return control.Socket(found[0]), nil
	case 0:
		for _, dir := range cmd.place.RuntimeDirs() {
			if gone := localapi.Removed(dir); len(gone) > 0 {
				return "", cli.SocketRemoved(program, gone[0])
			}
		}
		return "", cli.Errorf(cli.Failure, "", "no edge is running here: there is no control socket in %s. If it runs elsewhere type --control PATH.",
			strings.Join(cmd.place.RuntimeDirs(), " or "))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d edges are running: say which one. Type one of:", len(found))
	for _, path := range found {
		fmt.Fprintf(&b, "\n  %s %s --control %s", program, c.Command.Name, path)
	}
	return "", &cli.Error{Code: cli.Usage, Text: b.String()}
}

// callError puts a failed call into words.
func callError(socket control.Socket, err error) error {
	return cli.CallError(program, string(socket), err)
}
