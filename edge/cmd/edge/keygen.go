package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
)

// keygen is "edge keygen".
func (cmd *command) keygen(c *ucli.Context) error {
	var faults cli.Faults
	name, err := chooseCommunity(c, cmd.place.Env, false)
	if name == "" {
		err = errors.New("no community: name it with --community NAME")
	}
	faults.Add(err)
	n, err := strconv.Atoi(c.String("epochs"))
	if err != nil {
		faults.Addf("--epochs %s is not a number", c.String("epochs"))
	}
	every, err := cli.ParseSpan(c.String("every"))
	if err != nil {
		faults.Addf("--every: %w", err)
	}
	if err := faults.Err(); err != nil {
		return err
	}
	if every == 0 && !c.IsSet("epochs") {
		n = 1 // a key without an end has no successor
	}
	made, err := crypto.GenerateCommunity(name, n, every, cmd.now(), rand.Reader)
	if err != nil {
		return &cli.Error{Code: cli.Usage, Text: err.Error(), Err: err}
	}
	text, err := made.AppendText(nil)
	if err != nil {
		return err
	}
	path := c.String("o")
	if path == "" {
		_, err := cmd.streams.Out.Write(text)
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	fmt.Fprintf(cmd.streams.Err, "%s: %s of 256 random bits%s. Give the file to every member, and to nobody else:\n  %s --community-file %s -l HOST:PORT\n",
		path, format.Count(n, "key"), validity(made, every), program, path)
	return nil
}

// validity says how long the keys of a new community last.
func validity(c *crypto.Community, every time.Duration) string {
	if every == 0 {
		return " without an end"
	}
	last := c.Epochs[len(c.Epochs)-1]
	return " until " + last.Until.Format(format.TimeLayout)
}
