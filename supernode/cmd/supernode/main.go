// Command supernode is the meeting point of communities: edges find each other
// through it, get their addresses from it, and are relayed by it while they
// have no direct path. Its sub-commands print its identity and its state.
package main

import (
	"context"
	"slices"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/config"
	"hedgerow/internal/obfs"
	"hedgerow/protocol"
)

// obfsVariable has the obfuscation key.
const obfsVariable = "SUPERNODE_OBFS_KEY"

// program names the command, its directories and its lines.
const program = "supernode"

func main() {
	cli.Main(program, func(ctx context.Context, args []string, s cli.Streams, p cli.Place) cli.Code {
		return (&command{streams: s, place: p, forks: watchForks, etc: config.Dir}).run(ctx, args)
	}, "obfs-key")
}

// command is the program with what it needs of the machine, so that tests
// can stand in for it.
type command struct {
	streams cli.Streams
	place   cli.Place
	etc     string                                   // the directory of configuration files; empty: only those that are named
	forks   func(ctx context.Context, forked func()) // tells that this machine was restored or cloned with its memory
}

// run executes one command line and returns the exit code.
func (cmd *command) run(ctx context.Context, args []string) cli.Code {
	app := cmd.app()
	args = cmd.configuredBy().Positional(args, app.Commands)
	args = cmd.configuredBy().Arguments(args)
	for _, list := range []string{"communities", "edges"} {
		args = cli.ArgumentOption(args, list, listFlags(), communityOption)
	}
	args = cli.ArgumentOption(args, "invite", inviteFlags(), communityOption)
	args = cli.ArgumentOption(args, "uninvite", uninviteFlags(), "id")
	args = cli.ArgumentOption(args, "backup", backupFlags(), fileOption)
	args = cli.ArgumentOption(args, "move", moveFlags(), placeOption)
	args = cli.ArgumentOption(args, "restore", restoreFlags(), fileOption)
	for _, v := range ruleVerbs {
		args = cli.ArgumentsOption(args, v.name, ruleFlags(), "word")
	}
	return cli.Run(ctx, app, args, cmd.streams)
}

// app describes the command line.
func (cmd *command) app() *ucli.App {
	return &ucli.App{
		Name:    program,
		Usage:   "let edges find each other, and relay between them",
		Version: cli.Release,
		UsageText: "supernode [-p PORT]\n" +
			"supernode -l 7654\n" +
			"supernode id | status | communities | edges | health | rules | reload | upgrade\n" +
			"supernode allow | deny | ban | unban | kick ... | password\n" +
			"supernode invite COMMUNITY | invites | uninvite ID\n" +
			"supernode backup FILE | restore FILE | move HOST[:PORT] | rotate-key\n" +
			"supernode FILE | config check [FILE] | config show [FILE]",
		Description: "Environment: SUPERNODE_PORT for --port, and so each option of run; SUPERNODE_ADDRESS for\n" +
			"that of invite; SUPERNODE_STATE_DIR and SUPERNODE_CONTROL for those of every command.\n" +
			"Exit codes: 0 clean, 1 failure, 2 usage, 3 permission.",
		Flags:  append(runFlags(), cli.VersionFlag()),
		Action: cmd.start,
		Commands: slices.Concat([]*ucli.Command{
			{Name: "run", Usage: "serve (default)", Flags: runFlags(), Action: cmd.start},
			{Name: "id", Usage: "print the key that edges pin with -l HOST:PORT#KEY", Flags: []ucli.Flag{stateDirFlag()}, Action: cmd.id},
			{Name: "status", Usage: "show the state of the running supernode", Flags: []ucli.Flag{cli.JSONFlag(), cli.ControlFlag("")}, Action: cmd.status},
			{Name: "communities", Usage: "show the communities, and what is relayed for each", ArgsUsage: "[COMMUNITY]", Flags: listFlags(), Action: cmd.communities},
			{Name: "edges", Usage: "show the edges that are here: where they are, since when, and what is relayed for them", ArgsUsage: "[COMMUNITY]", Flags: listFlags(), Action: cmd.edges},
			{Name: "health", Usage: "say what is wrong, and exit with 1 if anything is", Flags: []ucli.Flag{cli.ControlFlag("")}, Action: cmd.health},
			upgradeCommand(cmd),
			cmd.configuredBy().Command(),
			mover{cmd.streams, cmd.findSocket}.command(),
			rotator{cmd.streams, cmd.findSocket}.command(),
			cli.VersionCommand(protocol.Version),
		}, cmd.ruleCommands(), cmd.inviteCommands(), keeper{cmd.streams, cmd.place, cmd.findSocket}.commands()),
	}
}

// runFlags are the options of "supernode" and "supernode run". Values are texts
// here and are parsed together later, so that all faults are reported at once.
func runFlags() []ucli.Flag {
	return slices.Concat([]ucli.Flag{
		config.FileFlag(),
		&ucli.StringSliceFlag{Name: "p", Aliases: []string{"port"}, Usage: "UDP `PORT` to listen on, 0 for any, or ADDR:PORT for one address of this host; default: 7654"},
		&ucli.StringSliceFlag{Name: "l", Usage: "the same as -p `PORT`"},
		&ucli.StringFlag{Name: "public-address", Usage: "`HOST` by which edges reach this supernode, a name or an address, where it cannot know; it is shown, and given to edges for --turn-listen"},
		&ucli.StringFlag{Name: "second-port", Usage: "UDP `PORT` at which edges find out how their NATs map, or off; default: the one after -p, but not 7655, if free"},
	}, obfs.Flags(obfsVariable), streamFlags(), turnFlags(), rulesFlags(), []ucli.Flag{
		httpFlag(),
		limitFlag(),
		stateDirFlag(),
		&ucli.StringFlag{Name: "pool", Usage: "`CIDR` to lease addresses from; default: a /18 of 10.64.0.0/10 for each community"},
		cli.ControlFlag(""),
		&ucli.StringFlag{Name: "offload", Usage: "do without what a driver, a virtual machine or a path does wrong: `LIST` of NAME=off, where NAME is gso, gro or batch (UDP sockets); default: all that the kernel has"},
	}, cli.LogFlags())
}
