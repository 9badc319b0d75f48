package main

import (
	"fmt"
	"net"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/invite"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
)

// placeOption is the hidden option of the place that a supernode moves to.
const placeOption = "place"

// moveFlags are the options of "supernode move".
func moveFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.BoolFlag{Name: "stop", Usage: "tell edges that the supernode stays where they know it"},
		cli.JSONFlag(), cli.ControlFlag(""),
		&ucli.StringFlag{Name: placeOption, Hidden: true},
	}
}

// mover has the command that tells edges where a supernode is found from now on.
type mover struct {
	streams cli.Streams
	socket  func(*ucli.Context) (string, error) // finds that of the running supernode
}

// command is it.
func (m mover) command() *ucli.Command {
	return &ucli.Command{
		Name: "move", Usage: "tell the edges where the supernode is found from now on, by the same key", ArgsUsage: "HOST[:PORT]", Flags: moveFlags(), Action: m.move,
	}
}

// move is "supernode move HOST[:PORT]" and "supernode move --stop".
func (m mover) move(c *ucli.Context) error {
	to, stop := c.String(placeOption), cli.Bool(c, "stop")
	if (to == "") != stop {
		return cli.Errorf(cli.Usage, "", "where to? Type: supernode move HOST[:PORT], or supernode move --stop to take that back.")
	}
	var asked admin.Move
	if !stop {
		var err error
		if asked.Host, asked.Port, err = invite.ParsePlace(to); err != nil {
			return cli.Errorf(cli.Usage, "", "%s: %w", to, err)
		}
		if _, _, err := net.SplitHostPort(to); err != nil {
			asked.Port = 0 // the supernode knows its own
		}
	}
	path, err := m.socket(c)
	if err != nil {
		return err
	}
	done, err := admin.Socket(path).Move(c.Context, asked)
	if err != nil {
		return cli.CallError("supernode", path, err)
	}
	switch {
	case cli.Bool(c, "json"):
		return cli.PrintJSON(m.streams.Out, done)
	case done.Redirect == nil:
		_, err = fmt.Fprintln(m.streams.Out, "Edges are told that the supernode stays where they know it.")
	default:
		_, err = fmt.Fprintf(m.streams.Out, "Edges are told that the supernode is at %s, where it has to have the same key: 'supernode backup' here, 'supernode restore' there.\n"+
			"They register there as well, and stay here until this one ends. 'supernode status' says how many of the %d here know it.\n", done.Redirect.Place, done.Redirect.Edges)
	}
	return err
}

// moveServer is the action of the control socket. port is that of the supernode.
func moveServer(s *supernode.Server, port uint16) func(admin.Move) (admin.Moved, error) {
	return func(m admin.Move) (admin.Moved, error) {
		if m.Host != "" && m.Port == 0 {
			m.Port = port
		}
		if err := s.Move(m.Host, m.Port); err != nil {
			return admin.Moved{}, err
		}
		return admin.Moved{Redirect: s.Status().Totals.Redirect}, nil
	}
}
