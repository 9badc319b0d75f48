package main

import (
	"errors"
	"fmt"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
)

// rotator has the command that gives a supernode a new key.
type rotator struct {
	streams cli.Streams
	socket  func(*ucli.Context) (string, error) // finds that of the running supernode
}

// command is it.
func (r rotator) command() *ucli.Command {
	return &ucli.Command{
		Name: "rotate-key", Usage: "give the supernode a new key, which edges go over to while the one before answers as well", Action: r.rotate,
		Flags: []ucli.Flag{
			&ucli.BoolFlag{Name: "status", Usage: "say how many edges still use the key before"},
			&ucli.BoolFlag{Name: "end", Usage: "end the use of the key before, and remove it from the disk"},
			&ucli.BoolFlag{Name: "force", Usage: "with --end: also while edges use it"},
			cli.JSONFlag(), cli.ControlFlag(""),
		},
	}
}

// rotate is "supernode rotate-key", with --status or --end.
func (r rotator) rotate(c *ucli.Context) error {
	look, end, force := cli.Bool(c, "status"), cli.Bool(c, "end"), cli.Bool(c, "force")
	switch {
	case look && end:
		return cli.Errorf(cli.Usage, "", "--status changes nothing, and --end ends the use of the key before: give one of them.")
	case force && !end:
		return cli.Errorf(cli.Usage, "", "--force belongs to --end.")
	}
	path, err := r.socket(c)
	if err != nil {
		return err
	}
	var done admin.Rotated
	if look {
		var st admin.Status
		st, err = admin.Socket(path).Status(c.Context)
		done.Rotation = st.Totals.Rotation
	} else {
		done, err = admin.Socket(path).Rotate(c.Context, admin.Rotate{End: end, Force: force})
	}
	switch {
	case err != nil:
		return cli.CallError("supernode", path, err)
	case cli.Bool(c, "json"):
		return cli.PrintJSON(r.streams.Out, done)
	case end:
		_, err = fmt.Fprintln(r.streams.Out, "The key before answers no more, and is removed from the state directory. Backups of before have it still: make a new one, and delete those. Invites of before carry it: make new ones.")
	case done.Rotation == nil:
		_, err = fmt.Fprintln(r.streams.Out, "One key answers: none was made since the last 'supernode rotate-key --end'.")
	case look:
		err = r.tell(done.Rotation)
	default:
		_, err = fmt.Fprintf(r.streams.Out, "The supernode has the new key %s. Edges that know it by %s, which answers as well, are told, and keep the new one.\n"+
			"Give new edges the new key. 'supernode rotate-key --status' says who has not gone over, 'supernode rotate-key --end' ends the use of the one before.\n"+
			"Backups of before do not have the new key: make a new one.\n", done.Rotation.Key, done.Rotation.Former)
	}
	return err
}

// tell says how far a rotation is.
func (r rotator) tell(st *admin.Rotation) error {
	text := fmt.Sprintf("key        %s, since %s\nbefore     %s: %d of %s here", st.Key, st.Since.Local().Format(format.TimeLayout), st.Former, st.Old, format.Count(st.Edges, "edge"))
	if len(st.Some) > 0 {
		text += "\nthese are  " + strings.Join(st.Some, ", ")
		if more := st.Old - len(st.Some); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
	}
	if st.Old == 0 {
		text += ". Edges that are away may have it still: once they are back they go over."
	}
	_, err := fmt.Fprintln(r.streams.Out, text)
	return err
}

// rotateServer is the action of the control socket.
func rotateServer(s *supernode.Server) func(admin.Rotate) (admin.Rotated, error) {
	return func(r admin.Rotate) (admin.Rotated, error) {
		var err error
		if r.End {
			err = s.EndRotation(r.Force)
		} else {
			err = s.Rotate()
		}
		switch {
		case errors.Is(err, supernode.ErrRotated):
			err = fmt.Errorf("%w: 'supernode rotate-key --status' says who uses it, and 'supernode rotate-key --end' ends that; then there may be a new key", err)
		case errors.Is(err, supernode.ErrNotRotated):
			err = fmt.Errorf("%w: 'supernode rotate-key' makes a new one", err)
		case errors.Is(err, supernode.ErrFormerUsed):
			err = fmt.Errorf("%w. They would find this supernode no more: wait, update those that run a program of before rotate-key, or give --force", err)
		}
		if err != nil {
			return admin.Rotated{}, err
		}
		return admin.Rotated{Rotation: s.Status().Totals.Rotation}, nil
	}
}
