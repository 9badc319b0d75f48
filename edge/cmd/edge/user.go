package main

import (
	"fmt"
	"os"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/textfile"
)

// userFlags are the options by which people are let in.
func userFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "user", Usage: "`NAME` by which the operator of the supernodes lets this edge in"},
		&ucli.StringFlag{Name: "password-file", Usage: "read the password of --user from `FILE`; or set EDGE_PASSWORD"},
	}
}

// parseUser reads --user with its password, which serve for all supernodes.
func parseUser(c *ucli.Context, place cli.Place, supernodes []edge.Supernode, faults *cli.Faults) {
	user := place.Option(c, "user", "EDGE_USER")
	secret, err := readPassword(c, place.Env)
	faults.Add(err)
	switch {
	case err != nil || user == "" && secret == "":
		return
	case user == "":
		faults.Addf("there is a password and no user: add --user NAME or EDGE_USER")
		return
	case secret == "":
		faults.Addf("--user %s has no password: add --password-file FILE or EDGE_PASSWORD", user)
		return
	}
	for i := range supernodes {
		supernodes[i].User, supernodes[i].Password = user, secret
	}
}

// maxPasswordFile bounds the file of a password in bytes: one of a longer password is
// refused for its password.
const maxPasswordFile = 4096

// readPassword returns the password of --password-file or of the environment; empty: there
// is none.
func readPassword(c *ucli.Context, env cli.Environment) (string, error) {
	path, _ := cli.String(c, "password-file")
	if path == "" {
		secret, _ := env.First("EDGE_PASSWORD")
		return secret, nil
	}
	text, err := os.ReadFile(path)
	if err == nil && len(text) > maxPasswordFile {
		err = fmt.Errorf("it has more than %d bytes", maxPasswordFile)
	}
	var secret string
	if err == nil {
		secret, err = textfile.Line(text)
	}
	if err != nil {
		return "", fmt.Errorf("--password-file %s cannot be used: %w", path, err)
	}
	return secret, nil
}
