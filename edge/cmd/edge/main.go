// Command edge makes this machine a member of a community: it creates a TAP
// device and carries the Ethernet frames between it and the other members.
// Its sub-commands ask a running edge, and make and show keys.
package main

import (
	"context"
	"os"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/edge/control"
	"hedgerow/edge/netcheck"
	"hedgerow/internal/cli"
	"hedgerow/internal/config"
	"hedgerow/protocol"
)

// program names the command, its directories and its lines.
const program = "edge"

func main() {
	cli.Main(program, func(ctx context.Context, args []string, s cli.Streams, p cli.Place) cli.Code {
		cmd := &command{
			streams:  s,
			place:    p,
			hostname: os.Hostname,
			now:      time.Now,
			machine:  thisMachine,
			openTAP:  openTAP,
			etc:      config.Dir,
			probe:    netcheck.Run,
		}
		return cmd.run(ctx, args)
	}, "k", "key", "obfs-key")
}

// command is the program with what it needs of the machine, so that tests
// can stand in for it.
type command struct {
	streams  cli.Streams
	place    cli.Place
	hostname func() (string, error)
	now      func() time.Time
	machine  func() string // the hash of the machine id, empty: there is none
	openTAP  tapOpener
	etc      string // the directory of configuration files; empty: only those that are named
	probe    func(context.Context, netcheck.Config) control.Netcheck
}

// run executes one command line and returns the exit code.
func (cmd *command) run(ctx context.Context, args []string) cli.Code {
	app := cmd.app()
	args = cmd.configuration().Positional(args, app.Commands)
	args = cmd.configuration().Arguments(args)
	args = cli.ArgumentOption(args, "ping", pingFlags(), "peer")
	for _, name := range [...]string{"join", "invite"} {
		args = cli.ArgumentOption(args, name, inviteFlags(), "invite")
	}
	return cli.Run(ctx, app, membersArguments(args), cmd.streams)
}

// app describes the command line.
func (cmd *command) app() *ucli.App {
	return &ucli.App{
		Name:    program,
		Usage:   "join a community of machines that share one Ethernet",
		Version: cli.Release,
		UsageText: "edge -c mynetwork --key-file /etc/edge/key -l vps.example:7654\n" +
			"edge -c mynetwork -k KEY -l HOST:PORT -a 10.1.2.1 -d n2n0\n" +
			"edge status | health | peers | fdb | routes | ping PEER | netcheck | keys | counters\n" +
			"edge members | admit ID | revoke ID | authority FILE\n" +
			"edge identity | identity adopt | identity new | invite | join INVITE | upgrade\n" +
			"edge FILE | config check [FILE] | config show [FILE]",
		Description: "Environment: EDGE_MTU for --mtu, and so each option; N2N_COMMUNITY and N2N_KEY, too;\n" +
			"EDGE_PASSWORD for the password of --user;\n" +
			"${CREDENTIALS_DIRECTORY}/key (systemd) is used when no other key is given.\n" +
			"Exit codes: 0 clean, 1 failure, 2 usage, 3 permission or missing device,\n" +
			"4 refused, 5 no supernode reachable (netcheck), 75 temporary.",
		Flags:  append(runFlags(), cli.VersionFlag()),
		Action: cmd.start,
		Commands: append([]*ucli.Command{
			{Name: "run", Usage: "join the community (default)", Flags: runFlags(), Action: cmd.start},
			{Name: "status", Usage: "show the state of a running edge", Flags: readFlags(), Action: cmd.status},
			{Name: "health", Usage: "say what is wrong, and exit with 1 if anything is", Flags: []ucli.Flag{cli.ControlFlag("")}, Action: cmd.health},
			{Name: "peers", Usage: "show the other members and the path to each", Flags: readFlags(), Action: cmd.peers},
			{Name: "fdb", Usage: "show which stations are behind which edge", Flags: fdbFlags(), Action: cmd.fdb},
			{Name: "routes", Usage: "show the networks behind other members", Flags: watchFlags(), Action: cmd.routes},
			{Name: "ping", Usage: "measure the path to another member", ArgsUsage: "PEER", Flags: pingFlags(), Action: cmd.ping},
			{Name: "netcheck", Usage: "find out what the network lets through", Flags: netcheckFlags(), Action: cmd.netcheck},
			{Name: "keys", Usage: "show the key schedule", Flags: append(readFlags(), communityFileFlag()), Action: cmd.keys},
			{Name: "counters", Usage: "show what the data path has done", Flags: readFlags(), Action: cmd.counters},
			cmd.identityCommand(),
			{Name: "invite", Usage: "print one string that lets a machine into the community", ArgsUsage: "[INVITE]", Flags: inviteFlags(), Action: cmd.enrolment().invite},
			{Name: "join", Usage: "set this machine up by such a string", ArgsUsage: "INVITE|FILE|-", Flags: joinFlags(), Action: cmd.enrolment().join},
			cmd.upgradeCommand(),
			cmd.configuration().Command(),
			{Name: "keygen", Usage: "make the keys of a community", Flags: keygenFlags(), Action: cmd.keygen},
			cli.VersionCommand(protocol.Version),
		}, cmd.membersCommands()...),
	}
}

// membersCommands are the commands about the list of members.
func (cmd *command) membersCommands() []*ucli.Command {
	s := &signer{streams: cmd.streams, now: cmd.now, socket: cmd.socket, failed: callError}
	return []*ucli.Command{
		{Name: "members", Usage: "show the list of members", Flags: readFlags(), Action: cmd.members},
		{Name: "admit", Usage: "sign a list with further members, or other roles", ArgsUsage: "[ID ...]", Flags: admitFlags(), Action: s.admit},
		{Name: "revoke", Usage: "sign a list without members, and give the others a new key", ArgsUsage: "ID [ID ...]", Flags: signFlags(), Action: s.revoke},
		{
			Name: "authority", Usage: "make the key that signs the list of members, unless FILE has it, and show what the community's file needs", ArgsUsage: "FILE",
			Flags: authorityFlags(), Action: s.showAuthority,
		},
	}
}

// enrolment is what "edge invite" and "edge join" need of the machine.
func (cmd *command) enrolment() *enrolment {
	return &enrolment{streams: cmd.streams, place: cmd.place, now: cmd.now}
}
