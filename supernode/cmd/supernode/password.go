package main

import (
	"crypto/rand"
	"fmt"
	"io"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/password"
	"hedgerow/internal/textfile"
	"hedgerow/protocol"
)

// passwordCommand is "supernode password".
func passwordCommand(s cli.Streams) *ucli.Command {
	return &ucli.Command{
		Name: "password", Usage: "read a password from standard input, and print its hash for 'allow user NAME HASH'",
		Action: func(*ucli.Context) error { return hashPassword(s) },
	}
}

// hashPassword prints the hash of a password.
func hashPassword(s cli.Streams) error {
	text, err := io.ReadAll(io.LimitReader(s.In, 4096))
	if err != nil {
		return cli.Errorf(cli.Failure, "", "read the password: %w", err)
	}
	word, err := textfile.Line(text)
	switch {
	case err != nil:
		return cli.Errorf(cli.Usage, "", "standard input is no password: %w. Type it and then Enter and Ctrl-D, or send a file there.", err)
	case word == "" || len(word) > protocol.MaxPassword:
		return cli.Errorf(cli.Usage, "", "the password has %d bytes: it must have 1 to %d.", len(word), protocol.MaxPassword)
	}
	hash, err := password.Hash(word, rand.Reader)
	if err != nil {
		return cli.Errorf(cli.Failure, "", "%w", err)
	}
	fmt.Fprintln(s.Out, hash)
	return nil
}
