package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/service"
)

// identityCommand is "edge identity" with its sub-commands.
func (cmd *command) identityCommand() *ucli.Command {
	return &ucli.Command{
		Name: "identity", Usage: "show, adopt or renew the identity of this machine", Flags: identityFlags(), Action: cmd.showIdentity,
		Subcommands: []*ucli.Command{
			{
				Name: "adopt", Usage: "use the identity that came with a copied disk or state directory, here and nowhere else", Action: cmd.adoptIdentity,
				Flags: append(identityFlags(), &ucli.BoolFlag{Name: "any-machine", Usage: "and on whatever machine the directory comes to", DisableDefaultText: true}),
			},
			{Name: "new", Usage: "make a new identity; the old one is set aside", Flags: identityFlags(), Action: cmd.newIdentity},
		},
	}
}

func identityFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "c", Aliases: []string{"community"}, Usage: "`NAME` of the community; default: the only one in the state directory"},
		&ucli.StringFlag{Name: "state-dir", Usage: "the identity is in `DIR`/COMMUNITY"},
	}
}

// showIdentity is "edge identity".
func (cmd *command) showIdentity(c *ucli.Context) error {
	d, err := cmd.findIdentity(c)
	if err != nil {
		return err
	}
	id, err := d.read()
	if err != nil {
		return err
	}
	whose := "this machine's"
	switch {
	case d.foreign():
		whose = "another machine's: the next start makes a new one, unless you type 'edge identity adopt' first"
	case d.kept() == anyMachine:
		whose = "any machine's that its directory comes to"
	case d.machine == "":
		whose = "of a machine without a machine id: a copy of the directory is not noticed at its start"
	}
	fmt.Fprintf(cmd.streams.Out, "%s  %s\n%x\n%s\n", id.ShortID(), d.file(), []byte(id.ID), whose)
	if path := d.aside(); path != "" {
		fmt.Fprintf(cmd.streams.Out, "set aside: %s\n", path)
	}
	return nil
}

// adoptIdentity is "edge identity adopt".
func (cmd *command) adoptIdentity(c *ucli.Context) error {
	return cmd.changeIdentity(c, func(d identityDir) error {
		whose := d.machine
		if c.Bool("any-machine") {
			whose = anyMachine
		}
		id, err := d.adopt(whose)
		if errors.Is(err, fs.ErrNotExist) {
			return cli.Errorf(cli.Failure, "", "there is nothing to adopt in %s: no identity of another machine is there or was set aside.", d.path)
		}
		if err != nil {
			return service.StateError(err)
		}
		fmt.Fprintf(cmd.streams.Out, "%s is the identity of this machine from now on. See to it that no other machine starts with it: the two would throw each other out.\n", id.ShortID())
		return nil
	})
}

// newIdentity is "edge identity new".
func (cmd *command) newIdentity(c *ucli.Context) error {
	return cmd.changeIdentity(c, func(d identityDir) error {
		id, err := d.renew()
		if err != nil {
			return service.StateError(err)
		}
		fmt.Fprintf(cmd.streams.Out, "%s is the new identity of this machine; the old one is %s.\n", id.ShortID(), d.aside())
		return nil
	})
}

// changeIdentity calls change while no edge uses the identity.
func (cmd *command) changeIdentity(c *ucli.Context, change func(d identityDir) error) error {
	d, err := cmd.findIdentity(c)
	if err != nil {
		return err
	}
	lock, err := cli.Lock(d.path)
	if errors.Is(err, cli.ErrLocked) {
		return cli.Errorf(cli.Failure, "", "an edge uses this identity (%w): stop it first.", err)
	}
	if err != nil {
		return service.StateError(err)
	}
	defer lock.Close()
	return change(d)
}

// read reads the identity, which has to be there.
func (d identityDir) read() (*crypto.Identity, error) {
	if _, err := os.Stat(d.file()); err != nil {
		return nil, cli.Failed(err, "The first start of the edge makes an identity.")
	}
	id, _, err := crypto.LoadIdentity(d.file())
	if err != nil {
		return nil, service.StateError(err)
	}
	return id, nil
}

// findIdentity returns the directory of the community that was named, or of the only one.
func (cmd *command) findIdentity(c *ucli.Context) (identityDir, error) {
	state, err := cmd.place.StateDirOption(c, "")
	if err != nil {
		return identityDir{}, cli.Errorf(cli.Usage, "", "%w", err)
	}
	if name, _ := cli.String(c, "c"); name != "" {
		d := cmd.identityDir(filepath.Join(state, cli.FileName(name)))
		if _, err := os.Stat(d.path); err != nil {
			return identityDir{}, cli.Errorf(cli.Failure, "", "there is no edge of community %q in %s: name its directory with --state-dir DIR.", name, state)
		}
		return d, nil
	}
	names := withIdentity(state)
	switch len(names) {
	case 1:
		return cmd.identityDir(filepath.Join(state, names[0])), nil
	case 0:
		return identityDir{}, cli.Errorf(cli.Failure, "", "no identity in %s yet: start the edge first, or name its directory with --state-dir DIR.", state)
	}
	return identityDir{}, cli.Errorf(cli.Usage, "", "%s has identities in several communities: say which with -c NAME (%s).", state, strings.Join(names, ", "))
}

// withIdentity returns the names of the directories in a state directory that have an
// identity.
func withIdentity(state string) (names []string) {
	list, _ := os.ReadDir(state) // nothing is there if it cannot be read
	for _, entry := range list {
		if _, err := os.Stat(filepath.Join(state, entry.Name(), identityFile)); err == nil {
			names = append(names, entry.Name())
		}
	}
	return names
}
