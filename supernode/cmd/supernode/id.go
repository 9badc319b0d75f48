package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/service"
	"hedgerow/supernode"
)

// id is "supernode id". It makes an identity only in a directory that was named:
// in a default one, which depends on the user, a new one would more likely be
// the wrong one than the first.
func (cmd *command) id(c *ucli.Context) error {
	dir, err := cmd.place.StateDirOption(c, "SUPERNODE_STATE_DIR")
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w", err)
	}
	path := filepath.Join(dir, supernode.IdentityFile)
	if cmd.place.Option(c, "state-dir", "SUPERNODE_STATE_DIR") == "" {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return cli.Errorf(cli.Failure, "", "no identity in %s yet: start the supernode first, or name its directory with --state-dir DIR.", dir)
		}
	} else if err := os.MkdirAll(dir, 0o700); err != nil {
		return service.StateError(err)
	}
	id, err := supernode.LoadIdentity(dir)
	if err != nil {
		return service.StateError(err)
	}
	fmt.Fprintln(cmd.streams.Out, supernode.KeyText(id.Static))
	return nil
}
