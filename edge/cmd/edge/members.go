package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// staleAfter is after how long members say that there should be a newer list.
const staleAfter = 30 * 24 * time.Hour

// membersOption has the identities that were typed: see cli.ArgumentsOption.
const membersOption = "members"

// signer is what the commands about the list of members need of the machine.
type signer struct {
	streams cli.Streams
	now     func() time.Time
	socket  func(*ucli.Context) (control.Socket, error)
	failed  func(control.Socket, error) error // puts a failed call into words
}

func authorityFlags() []ucli.Flag {
	return []ucli.Flag{&ucli.StringFlag{Name: "file", Hidden: true}}
}

func admitFlags() []ucli.Flag {
	return append(signFlags(),
		&ucli.StringSliceFlag{Name: "role", Usage: "`ROLE` of these members: plain, bridge, hub or router; may be repeated; default: plain, or the one before"},
		&ucli.StringFlag{Name: "expires", Usage: "their membership ends after `TIME` (30d, 36h), or on a day (2027-01-31)"})
}

// membersArguments makes the arguments of the commands about the list of members options.
func membersArguments(args []string) []string {
	args = cli.ArgumentsOption(args, "admit", admitFlags(), membersOption)
	args = cli.ArgumentsOption(args, "revoke", signFlags(), membersOption)
	return cli.ArgumentOption(args, "authority", authorityFlags(), "file")
}

func signFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringSliceFlag{Name: membersOption, Hidden: true},
		&ucli.StringFlag{Name: "authority", Usage: "`FILE` with the authority's key"},
		&ucli.StringFlag{Name: "stale", Usage: "members say that there should be a newer list after `TIME`; default: 30d"},
		cli.ControlFlag("; default: the only one"),
	}
}

// showAuthority is "edge authority".
func (cmd *signer) showAuthority(c *ucli.Context) error {
	path := c.String("file")
	if path == "" {
		return cli.Errorf(cli.Usage, "", "name the file of the key: edge authority FILE")
	}
	a, err := crypto.ReadAuthority(path)
	switch {
	case err == nil:
		return cmd.printAuthority(a)
	case !errors.Is(err, fs.ErrNotExist):
		return cli.Failed(err, "")
	}
	if a, err = crypto.GenerateAuthority(rand.Reader); err != nil {
		return err
	}
	if err := writeNew(path, a.AppendText(nil)); err != nil {
		return err
	}
	fmt.Fprintf(cmd.streams.Err, "%s: whoever has this file says who is a member. Keep it on one machine, and a copy where nobody finds it. The community's file needs these two lines in place of its members line, at all members, which are to be started anew then:\n", path)
	return cmd.printAuthority(a)
}

func (cmd *signer) printAuthority(a *crypto.Authority) error {
	_, err := fmt.Fprintf(cmd.streams.Out, "members = list\nauthority = %s\n", crypto.EncodeAuthority(a.Public()))
	return err
}

// admit is "edge admit". Without an identity the list is signed again as it is.
func (cmd *signer) admit(c *ucli.Context) error {
	var role roster.Role
	roles := cli.Strings(c, "role")
	for _, text := range roles {
		r, err := roster.ParseRole(text)
		if err != nil {
			return cli.Errorf(cli.Usage, "", "--role: %w", err)
		}
		role |= r
	}
	expires, err := parseExpiry(c.String("expires"), cmd.now())
	if err != nil {
		return cli.Errorf(cli.Usage, "", "--expires: %w", err)
	}
	return cmd.sign(c, func(s *signing) error {
		for _, text := range cli.Strings(c, membersOption) {
			e, err := s.find(text)
			if err != nil {
				return err
			}
			if len(roles) > 0 {
				e.Role = role
			}
			if e.Role &^= roster.Revoked; c.IsSet("expires") || e.Expired(cmd.now()) {
				e.Expires = expires
			}
		}
		return nil
	})
}

// revoke is "edge revoke".
func (cmd *signer) revoke(c *ucli.Context) error {
	if len(cli.Strings(c, membersOption)) == 0 {
		return cli.Errorf(cli.Usage, "", "nobody is named: type the identity that 'edge members' shows")
	}
	return cmd.sign(c, func(s *signing) error {
		for _, text := range cli.Strings(c, membersOption) {
			before := len(s.entries)
			e, err := s.find(text)
			if err != nil {
				return err
			}
			if len(s.entries) > before {
				return cli.Errorf(cli.Usage, "", "%s is not in the list: 'edge members' shows who is", text)
			}
			e.Role |= roster.Revoked
		}
		return s.roll(cmd.now())
	})
}

// signing is a list that is about to be signed.
type signing struct {
	by      *crypto.Authority
	cid     [16]byte
	now     control.Members
	entries []roster.Entry
	file    roster.File
}

// sign has change change the list that the running edge has, signs it, and hands it to
// the edge.
func (cmd *signer) sign(c *ucli.Context, change func(*signing) error) error {
	path, ok := cli.String(c, "authority")
	if !ok {
		return cli.Errorf(cli.Usage, "", "the authority's key is needed: name its file with --authority FILE")
	}
	stale := staleAfter
	if text := c.String("stale"); text != "" {
		var err error
		if stale, err = cli.ParseSpan(text); err != nil {
			return cli.Errorf(cli.Usage, "", "--stale: %w", err)
		}
	}
	by, err := crypto.ReadAuthority(path)
	if err != nil {
		return cli.Failed(err, "")
	}
	socket, err := cmd.socket(c)
	if err != nil {
		return err
	}
	s, err := cmd.begin(c.Context, socket, by)
	if err != nil {
		return err
	}
	if err := change(s); err != nil {
		return err
	}
	now := cmd.now()
	s.file.List, err = roster.Sign(by, s.cid, s.now.Serial+1, now, now.Add(stale), s.entries)
	if err != nil {
		return cli.Errorf(cli.Failure, "", "the list cannot be signed: %w", err)
	}
	if err := socket.AdoptMembers(c.Context, s.file.Append(nil)); err != nil {
		return cmd.failed(socket, err)
	}
	fmt.Fprintf(cmd.streams.Out, "list %d with %s is signed, and goes to the others. A newer one is due by %s.\n",
		s.file.List.Head.Serial, format.Count(len(s.entries), "entry"), s.file.List.Stale().Format(format.TimeLayout))
	return nil
}

// begin asks the running edge for the list that it has.
func (cmd *signer) begin(ctx context.Context, socket control.Socket, by *crypto.Authority) (*signing, error) {
	v, err := socket.Members(ctx)
	if err != nil {
		return nil, cmd.failed(socket, err)
	}
	switch own := crypto.EncodeAuthority(by.Public()); {
	case !v.Listed:
		return nil, cli.Errorf(cli.Failure, "", "community %q has no list of members: write these two lines into its file in place of its members line, at all members, and start them anew:\n  members = list\n  authority = %s", v.Community, own)
	case v.Authority != own:
		return nil, cli.Errorf(cli.Failure, "", "the authority of community %q is another one: its file names %s, and the key is that of %s", v.Community, v.Authority, own)
	}
	s := &signing{by: by, now: v}
	cid, err := hex.DecodeString(v.ID)
	if err != nil || len(cid) != len(s.cid) {
		return nil, cli.Errorf(cli.Failure, "", "the running edge is of another version: restart it")
	}
	s.cid = [16]byte(cid)
	for _, m := range v.Entries {
		e, err := entryOf(m)
		if err != nil {
			return nil, cli.Errorf(cli.Failure, "", "the running edge is of another version: %w", err)
		}
		s.entries = append(s.entries, e)
	}
	return s, nil
}

// entryOf returns an entry as a document shows it.
func entryOf(m control.ListedMember) (e roster.Entry, err error) {
	id, err := hex.DecodeString(m.ID)
	if err != nil || len(id) != len(e.ID) {
		return e, fmt.Errorf("%q is no identity", m.ID)
	}
	e.ID = [32]byte(id)
	for _, name := range m.Roles {
		r, err := roster.ParseRole(name)
		if err != nil {
			return e, err
		}
		e.Role |= r
	}
	if m.Revoked {
		e.Role |= roster.Revoked
	}
	if m.Expires != nil {
		e.Expires = *m.Expires
	}
	return e, nil
}

// find returns the entry of an identity, a new one if it is not in the list. Of an
// identity in the list the beginning is enough; of any other it is not, since somebody
// else may find a key that begins so.
func (s *signing) find(text string) (*roster.Entry, error) {
	digits, ok := crypto.ParseID(text)
	if !ok {
		return nil, cli.Errorf(cli.Usage, "", "%q is no identity: type its 64 hexadecimal digits, which 'edge identity' shows there", text)
	}
	var found *roster.Entry
	for i := range s.entries {
		if !strings.HasPrefix(hex.EncodeToString(s.entries[i].ID[:]), digits) {
			continue
		}
		if found != nil {
			return nil, cli.Errorf(cli.Usage, "", "two members have an identity that begins with %s: type all of it", text)
		}
		found = &s.entries[i]
	}
	if found != nil {
		return found, nil
	}
	id, _ := hex.DecodeString(digits)
	if len(id) != 32 {
		return nil, cli.Errorf(cli.Usage, "", "%s is not in the list yet: type all 64 hexadecimal digits of its identity, which 'edge identity' shows there", text)
	}
	s.entries = append(s.entries, roster.Entry{ID: [32]byte(id)})
	return &s.entries[len(s.entries)-1], nil
}

// roll makes the key that those who stay get.
func (s *signing) roll(now time.Time) error {
	if s.now.NextIndex > crypto.MaxIndex {
		return cli.Errorf(cli.Failure, "", "all indices of keys are used up: make a new community with edge keygen, for those who stay")
	}
	e := crypto.Epoch{Index: uint8(s.now.NextIndex), From: now.Add(roster.RollAhead(len(s.entries)))}
	if _, err := rand.Read(e.Key[:]); err != nil {
		return err
	}
	s.file.Rolls = []protocol.KeyUpdate{roster.SignRoll(s.by, s.cid, s.now.Serial+1, e)}
	return nil
}

// parseExpiry reads when a membership ends: a length of time from now on, or a day.
func parseExpiry(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		if !day.After(now) {
			return day, fmt.Errorf("%s is over", text)
		}
		return day, nil
	}
	d, err := cli.ParseSpan(text)
	if err == nil && d == 0 {
		err = fmt.Errorf("%q is no time at all", text)
	}
	return now.Add(d), err
}
