package main

import (
	"errors"
	"os"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/service"
)

func stateDirFlag() ucli.Flag {
	return &ucli.StringFlag{Name: "state-dir", Usage: "keep identity and registrations in `DIR`"}
}

// lockState takes the lock of the state directory of a supernode that has to be stopped.
func lockState(dir, advice string) (*os.File, error) {
	lock, err := cli.Lock(dir)
	if errors.Is(err, cli.ErrLocked) {
		return nil, cli.Errorf(cli.Failure, "", "a supernode runs: %w. %s", err, advice)
	}
	if err != nil {
		return nil, service.StateError(err)
	}
	return lock, nil
}
