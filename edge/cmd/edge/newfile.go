package main

import (
	"errors"
	"io/fs"

	"hedgerow/internal/cli"
	"hedgerow/internal/durable"
)

// writeNew writes a file that only its owner can read. It never writes over
// one that is there: those keys may be in use.
func writeNew(path string, text []byte) error {
	err := durable.Create(path, text, 0o600)
	switch {
	case errors.Is(err, fs.ErrExist):
		return cli.Errorf(cli.Usage, "", "%s exists: its keys may be in use. Choose another -o name, or move it away.", path)
	case errors.Is(err, fs.ErrPermission):
		return cli.Errorf(cli.Permission, "", "no permission to write %s.", path)
	case err != nil:
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	return nil
}
