package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/internal/localapi"
	"hedgerow/internal/render"
	"hedgerow/protocol"
)

// status is "edge status".
func (cmd *command) status(c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	v, err := socket.Status(c.Context)
	if err != nil {
		return callError(socket, err)
	}
	if c.Bool("json") {
		return cmd.printJSON(v)
	}
	return render.Status(cmd.streams.Out, v)
}

// peers is "edge peers".
func (cmd *command) peers(c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	v, err := socket.Peers(c.Context)
	if err != nil {
		return callError(socket, err)
	}
	if c.Bool("json") {
		return cmd.printJSON(v)
	}
	return render.Peers(cmd.streams.Out, v)
}

// counters is "edge counters".
func (cmd *command) counters(c *ucli.Context) error {
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	v, err := socket.Counters(c.Context)
	if err != nil {
		return callError(socket, err)
	}
	if c.Bool("json") {
		return cmd.printJSON(v)
	}
	return render.Counters(cmd.streams.Out, v)
}

// keys is "edge keys": of a running edge, or of a community file.
func (cmd *command) keys(c *ucli.Context) error {
	v, err := cmd.keyDocument(c)
	if err != nil {
		return err
	}
	if c.Bool("json") {
		return cmd.printJSON(v)
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
	var answer *localapi.ServerError
	switch {
	case errors.Is(err, localapi.ErrNotRunning):
		return cli.Errorf(cli.Failure, "", "no edge is running at %s.", socket)
	case errors.Is(err, fs.ErrPermission):
		return cli.Errorf(cli.Permission, "", "no permission on %s: run this with sudo, or join the group that owns it.", socket)
	case errors.As(err, &answer):
		return cli.Errorf(cli.Failure, "", "the edge at %s says: %s", socket, format.Printable(answer.Message))
	}
	return cli.Errorf(cli.Failure, "", "%w", err)
}

// printJSON prints a document for another program.
func (cmd *command) printJSON(v any) error {
	enc := json.NewEncoder(cmd.streams.Out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// version is "edge version".
func (cmd *command) version(c *ucli.Context) error {
	b := cli.BuildOf(protocol.Version)
	if c.Bool("json") {
		return cmd.printJSON(b)
	}
	text := fmt.Sprintf("%s %s, protocol %d, %s, %s", program, b.Version, b.Protocol, b.Go, b.Platform)
	if b.Revision != "" {
		text += ", revision " + b.Revision
	}
	_, err := fmt.Fprintln(cmd.streams.Out, text)
	return err
}
