package main

import (
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/render"
	"hedgerow/supernode/admin"
)

// status is "supernode status [--json]".
func (cmd *command) status(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	st, err := admin.Socket(path).Status(c.Context)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, st)
	}
	return render.SupernodeStatus(cmd.streams.Out, st)
}

// health is "supernode health": for monitors, which look at the exit code.
func (cmd *command) health(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return cli.Health(cmd.streams.Out, nil, err)
	}
	st, err := admin.Socket(path).Status(c.Context)
	if err != nil {
		err = cli.CallError(program, path, err)
	}
	return cli.Health(cmd.streams.Out, st.Notes, err)
}

// findSocket returns the socket of --control, or the one in a runtime
// directory.
func (cmd *command) findSocket(c *ucli.Context) (string, error) {
	if path := cmd.place.Option(c, "control", "SUPERNODE_CONTROL"); path != "" {
		return path, nil
	}
	for _, path := range cmd.place.Sockets() {
		if filepath.Base(path) == controlSocket {
			return path, nil
		}
	}
	return "", cli.Errorf(cli.Failure, "", "no supernode runs here: no %s in %s. If it has another socket, name it with --control PATH.",
		controlSocket, strings.Join(cmd.place.RuntimeDirs(), ", "))
}
