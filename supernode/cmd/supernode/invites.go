package main

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/internal/invite"
	"hedgerow/internal/render"
	"hedgerow/supernode/admin"
)

// inviteCommands are the commands that make, show and take back invites.
func (cmd *command) inviteCommands() []*ucli.Command {
	return []*ucli.Command{
		{Name: "invite", Usage: "print one string by which an edge may register", ArgsUsage: "COMMUNITY", Flags: inviteFlags(), Action: cmd.invite},
		{Name: "invites", Usage: "show the invites, and who has used them", Flags: []ucli.Flag{cli.JSONFlag(), cli.ControlFlag("")}, Action: cmd.invites},
		{Name: "uninvite", Usage: "take an invite back, and end the registrations that came by it", ArgsUsage: "ID", Flags: uninviteFlags(), Action: cmd.uninvite},
	}
}

// inviteFlags are the options of "supernode invite". The community is one of them: see
// cli.ArgumentOption.
func inviteFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "ttl", Value: "24h", Usage: "`TIME` in which edges may come by it for the first time: 24h, 7d"},
		&ucli.IntFlag{Name: "uses", Value: 1, Usage: "`COUNT` of edges that may come by it"},
		&ucli.StringFlag{Name: "address", Usage: "`HOST[:PORT]` at which edges reach this supernode; default: the public address of this host"},
		&ucli.StringSliceFlag{Name: "also", Usage: "`HOST:PORT#KEY` of another supernode that edges register with, too, and which has the same obfuscation key; may be repeated"},
		cli.QRFlag(), cli.JSONFlag(), cli.ControlFlag(""),
		&ucli.StringFlag{Name: communityOption, Hidden: true},
	}
}

// uninviteFlags are the options of "supernode uninvite", the id among them.
func uninviteFlags() []ucli.Flag {
	return []ucli.Flag{cli.JSONFlag(), cli.ControlFlag(""), &ucli.StringFlag{Name: "id", Hidden: true}}
}

// printedInvite is what "supernode invite --json" prints.
type printedInvite struct {
	admin.Invite
	// Text is the invite itself.
	Text string `json:"invite"`
}

// invite is "supernode invite".
func (cmd *command) invite(c *ucli.Context) error {
	asked, v, err := cmd.parseInvite(c)
	if err != nil {
		return err
	}
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	made, err := admin.Socket(path).Invite(c.Context, asked)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	text, err := completed(v, made)
	if err != nil {
		return err
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, printedInvite{Invite: made.Invite, Text: text})
	}
	says := []string{
		fmt.Sprintf("Invite %s to %q, for %s until %s. 'supernode uninvite %[1]s' takes it back.", made.ID, made.Community, format.Count(made.Uses, "edge"), made.Expires.Format(format.TimeLayout)),
		"Whoever has this string may register. It has no keys of the community, which no supernode knows: a member adds them by 'edge invite -'.",
	}
	if !made.Needed {
		says = append(says, fmt.Sprintf("This supernode lets in edges of %q without an invite, too: it is open (--mode closed), or a rule allows the community ('supernode rules').", made.Community))
	}
	return cli.ShowInvite(c, cmd.streams, text, says...)
}

// parseInvite reads what is asked for, and the part of the invite that is known before.
func (cmd *command) parseInvite(c *ucli.Context) (asked admin.InviteRequest, v *invite.Invite, err error) {
	var faults cli.Faults
	asked.Community, _ = cli.String(c, communityOption)
	if asked.Community == "" {
		faults.Addf("to which community? Type: %s invite COMMUNITY", program)
	}
	asked.Uses = c.Int("uses")
	ttl, err := cli.ParseSpan(c.String("ttl"))
	if err != nil {
		faults.Addf("--ttl: %w", err)
	}
	asked.TTLS = int64(ttl / time.Second)
	v = &invite.Invite{Name: asked.Community, Supernodes: make([]invite.Supernode, 1)}
	first := &v.Supernodes[0]
	if place := cmd.place.Option(c, "address", "SUPERNODE_ADDRESS"); place != "" {
		if first.Host, first.Port, err = parseInvitePlace(place); err != nil {
			faults.Addf("--address %s: %w", place, err)
		}
	} else if first.Host, err = publicAddress(); err != nil {
		faults.Add(err)
	}
	for _, text := range cli.Strings(c, "also") {
		also, err := parseAlso(text)
		if err != nil {
			faults.Addf("--also %s: %w", text, err)
		}
		v.Supernodes = append(v.Supernodes, also)
	}
	return asked, v, faults.Err()
}

// parseInvitePlace reads HOST, without a port 0, or HOST:PORT.
func parseInvitePlace(text string) (host string, port uint16, err error) {
	host, port, err = invite.ParsePlace(text)
	if _, _, typed := net.SplitHostPort(text); typed != nil {
		port = 0 // the supernode knows its own
	}
	return host, port, err
}

// parseAlso reads HOST:PORT#KEY.
func parseAlso(text string) (s invite.Supernode, err error) {
	place, key, _ := strings.Cut(text, "#")
	if s.Host, s.Port, err = invite.ParsePlace(place); err != nil {
		return s, err
	}
	b, err := base64.RawURLEncoding.DecodeString(key)
	if err != nil || len(b) != len(s.Key) {
		return s, errors.New("what follows the # is not a supernode's key; 'supernode id' prints it there")
	}
	s.Key = [32]byte(b)
	return s, nil
}

// publicAddress returns the address of this host that others can reach, if it is plain
// which one that is.
func publicAddress() (string, error) {
	var found []netip.Addr
	addrs, _ := net.InterfaceAddrs() // without them the user has to say
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && p.Addr().IsGlobalUnicast() && !p.Addr().IsPrivate() && !shared.Contains(p.Addr()) {
			found = append(found, p.Addr())
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("this host has %s: say at which name or address edges reach it, with --address HOST", format.Count(len(found), "public IPv4 address"))
	}
	return found[0].String(), nil
}

// shared is the space of carriers' NATs (RFC 6598).
var shared = netip.MustParsePrefix("100.64.0.0/10")

// completed puts what the supernode knows into an invite and writes it.
func completed(v *invite.Invite, made admin.Invited) (text string, err error) {
	first := &v.Supernodes[0]
	if first.Port == 0 {
		first.Port = made.Port
	}
	also, err := parseAlso(net.JoinHostPort(first.Host, strconv.Itoa(int(first.Port))) + "#" + made.Key)
	if err == nil {
		first.Key = also.Key
		first.Token, err = invite.DecodeToken(made.Token)
	}
	for i := range v.Supernodes { // an operator gives all of his the same
		if err == nil && made.Obfs != "" {
			v.Supernodes[i].Obfs, err = invite.DecodeObfs(made.Obfs)
		}
	}
	if err == nil {
		text, err = v.Text()
	}
	if err != nil {
		return "", cli.Errorf(cli.Failure, "", "the invite was made and cannot be written: %w. Take it back with 'supernode uninvite %s'.", err, made.ID)
	}
	return text, nil
}

// invites is "supernode invites [--json]".
func (cmd *command) invites(c *ucli.Context) error {
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	list, err := admin.Socket(path).Invites(c.Context)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, list)
	}
	return render.Invites(cmd.streams.Out, list, time.Now())
}

// uninvite is "supernode uninvite ID".
func (cmd *command) uninvite(c *ucli.Context) error {
	id, _ := cli.String(c, "id")
	if id == "" {
		return cli.Errorf(cli.Usage, "", "which invite? 'supernode invites' shows their ids.")
	}
	path, err := cmd.findSocket(c)
	if err != nil {
		return err
	}
	gone, err := admin.Socket(path).Uninvite(c.Context, id)
	if err != nil {
		return cli.CallError(program, path, err)
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(cmd.streams.Out, gone)
	}
	_, err = fmt.Fprintf(cmd.streams.Out, "invite %s to %q is taken back; registrations ended: %d\n", gone.ID, gone.Community, gone.Ended)
	return err
}
