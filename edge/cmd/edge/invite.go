package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/internal/invite"
	"hedgerow/internal/obfs"
)

// inviteFlags are the options of "edge invite".
func inviteFlags() []ucli.Flag {
	return append([]ucli.Flag{
		&ucli.StringFlag{Name: "c", Aliases: []string{"community"}, Usage: "`NAME` of the community"},
		&ucli.StringSliceFlag{Name: "l", Aliases: []string{"supernode"}, Usage: "`HOST:PORT#KEY` of a supernode; may be repeated"},
		cli.QRFlag(),
	}, append(joinFlags(), obfs.Flags(obfsVariable)...)...)
}

// invite is "edge invite": it makes an invite with the keys of the community, or adds them
// to one that a supernode has made.
func (e *enrolment) invite(c *ucli.Context) error {
	v, err := e.startInvite(c)
	if err != nil {
		return err
	}
	text, err := v.Text()
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w.", err)
	}
	says := fmt.Sprintf("Whoever has this string is a member of %q: it holds its keys, by which all that is sent can be read. Give it to one person, by a way that nobody else reads.", v.Name)
	if v.Keys.Members == crypto.MembersList {
		says = fmt.Sprintf("Whoever has this string has the keys of %q: give it to one person, by a way that nobody else reads. It makes nobody a member: that does '%s admit ID', with the id that '%[2]s identity' shows on the new machine.", v.Name, c.App.Name)
	}
	if !slices.ContainsFunc(v.Supernodes, func(s invite.Supernode) bool { return s.Token != (invite.Token{}) }) {
		says += " It has no token: a supernode that lets in who is invited alone makes one by 'supernode invite'."
	}
	if end := scheduleEnd(v.Keys); !end.IsZero() {
		says += " Its keys end " + end.Format(format.TimeLayout) + "."
	}
	return cli.ShowInvite(c, e.streams, text, says, fmt.Sprintf("On the new machine: sudo %s join -   (and paste it), then sudo %[1]s -c %s", c.App.Name, shellWord(v.Name)))
}

// startInvite returns the invite with the keys of the community.
func (e *enrolment) startInvite(c *ucli.Context) (*invite.Invite, error) {
	v := &invite.Invite{Name: communityName(c, e.place.Env)}
	if given, _ := cli.String(c, "invite"); given != "" {
		made, err := e.readInvite(c)
		switch {
		case err != nil:
			return nil, err
		case v.Name != "" && v.Name != made.Name:
			return nil, cli.Errorf(cli.Usage, "", "-c %s, but the invite is to %q: correct one of them.", v.Name, made.Name)
		case made.Keys != nil:
			return nil, cli.Errorf(cli.Usage, "", "this invite has the keys of the community already: give it away as it is.")
		}
		v = made
	}
	state, err := e.place.StateDirOption(c, "")
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%w", err)
	}
	joined := joinedIn(state, v.Name)
	key, err := chooseKey(c, e.place.Env, joined)
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%w", err)
	}
	if given, _ := cli.String(c, "invite"); given == fromStdin && key.kind == keyStdin {
		return nil, cli.Errorf(cli.Usage, "", "the invite and the key cannot both come from standard input: put one of them into a file.")
	}
	keys, err := key.load(c.Context, v.Name, e.streams.In)
	if err != nil {
		return nil, err
	}
	keys.warn(e.streams.Err)
	v.Name, v.Keys = keys.Name, current(keys.Community, e.now())
	if len(v.Supernodes) > 0 {
		return v, nil
	}
	v.Supernodes, err = inviteSupernodes(c, e.place.Env, joinedIn(state, v.Name))
	return v, err
}

// inviteSupernodes returns the supernodes of -l, or those of the community that was joined,
// with the keys that the edge of this machine knows them by. A token of this edge is its own,
// and is not passed on.
func inviteSupernodes(c *ucli.Context, env cli.Environment, joined joinedDir) (list []invite.Supernode, err error) {
	var faults cli.Faults
	supernodes := parseSupernodes(c, joined, &faults)
	key, err := obfs.Read(c, env, obfsVariable)
	faults.Add(err)
	useObfs(supernodes, key)
	for _, sn := range supernodes {
		key, err := sn.Key, error(nil)
		if joined != "" {
			key, err = edge.KnownKey(string(joined), sn.Name, sn.Key)
		}
		switch {
		case key != nil:
			list = append(list, invite.Supernode{Host: sn.Host, Port: sn.Port, Key: *key, Obfs: sn.ObfsKey})
		case err != nil:
			faults.Addf("-l %[1]s has no key by which the new edge knows the supernode, and the one that this edge knows cannot be read (%[2]w): run this with sudo, or type -l %[1]s#KEY with the key that 'supernode id' prints there", sn.Name, err)
		default:
			faults.Addf("-l %[1]s has no key by which the new edge knows the supernode, and no edge of this machine has met it: type -l %[1]s#KEY with the key that 'supernode id' prints there", sn.Name)
		}
	}
	return list, faults.Err()
}

// current returns a community without the keys that have ended: what was sent under them
// is no business of who comes now.
func current(c *crypto.Community, now time.Time) *crypto.Community {
	now = now.Add(-crypto.MaxSkew)
	left := *c
	left.Epochs = slices.DeleteFunc(slices.Clone(c.Epochs), func(e crypto.Epoch) bool { return !e.Until.IsZero() && e.Until.Before(now) })
	if len(left.Epochs) == 0 {
		return c // the last one serves on, or the edge says that it has ended
	}
	return &left
}

// scheduleEnd returns when the last key of a community ends; zero: never, or there is none.
func scheduleEnd(c *crypto.Community) (end time.Time) {
	for _, e := range c.Epochs {
		if e.Until.IsZero() {
			return time.Time{}
		}
		if e.Until.After(end) {
			end = e.Until
		}
	}
	return end
}

// shellWord returns a word as it is typed to a shell.
func shellWord(s string) string {
	plain := !strings.ContainsFunc(s, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("-_./:@%+=", r)
	})
	if plain && s != "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
