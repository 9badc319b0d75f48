package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
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
	switch {
	case errors.Is(err, localapi.ErrNotRunning):
		return cli.Errorf(cli.Failure, "", "no supernode runs here: nothing listens on %s.", path)
	case errors.Is(err, fs.ErrPermission):
		return cli.Errorf(cli.Permission, "", "no permission for %s: use sudo, or the group of the supernode.", path)
	case err != nil:
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	if cli.Bool(c, "json") {
		e := json.NewEncoder(cmd.streams.Out)
		e.SetIndent("", "  ")
		return e.Encode(st)
	}
	return render.SupernodeStatus(cmd.streams.Out, st)
}

// findSocket returns the socket of --control, or the one in a runtime
// directory.
func (cmd *command) findSocket(c *ucli.Context) (string, error) {
	if path := cmd.option(c, "control", "SUPERNODE_CONTROL"); path != "" {
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
