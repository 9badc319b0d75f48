package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/format"
	"hedgerow/internal/invite"
	"hedgerow/internal/service"
	"hedgerow/internal/textfile"
)

// fromStdin has an invite read from standard input.
const fromStdin = "-"

// enrolment is how a machine becomes one of a community: "edge invite" and "edge join".
type enrolment struct {
	streams cli.Streams
	place   cli.Place
	now     func() time.Time
}

// joinFlags are the options of "edge join". The invite is one of them: see cli.ArgumentOption.
func joinFlags() []ucli.Flag {
	return append(keyFlags(),
		&ucli.StringFlag{Name: "state-dir", Usage: "write into `DIR`/COMMUNITY"},
		&ucli.StringFlag{Name: "invite", Hidden: true},
	)
}

// keyFlags are the options that say where keys come from.
func keyFlags() []ucli.Flag {
	return []ucli.Flag{
		&ucli.StringFlag{Name: "k", Aliases: []string{"key"}, Usage: "`KEY` of the community (others may see it: prefer --key-file)"},
		&ucli.StringFlag{Name: "key-file", Usage: "read the key from `FILE`, or from standard input with -"},
		communityFileFlag(),
	}
}

// join is "edge join": it writes what an invite says where the edge finds it.
func (e *enrolment) join(c *ucli.Context) error {
	v, err := e.readInvite(c)
	if err != nil {
		return err
	}
	state, err := e.place.StateDirOption(c, "")
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w", err)
	}
	dir := joinedIn(state, v.Name)
	if err := e.addKeys(c, v, dir); err != nil {
		return err
	}
	if err := dir.keepWhatIsThere(c.Context, v); err != nil {
		return err
	}
	if err := os.MkdirAll(string(dir), 0o700); err != nil {
		return service.StateError(err)
	}
	if err := dir.write(v); err != nil {
		return service.StateError(err)
	}
	e.sayJoined(c, v, dir)
	return nil
}

// readInvite reads the invite that was named: the string itself, a file with it, or
// standard input.
func (e *enrolment) readInvite(c *ucli.Context) (*invite.Invite, error) {
	given, _ := cli.String(c, "invite")
	switch {
	case given == "":
		return nil, cli.Errorf(cli.Usage, "", "which invite? Type '%s %s -' and paste the string, or give a file that holds it.", c.App.Name, c.Command.Name)
	case invite.IsInvite(given):
		fmt.Fprintln(e.streams.Err, "warning: the invite was on the command line (shell history): whoever reads it there is let in, too. Prefer a file, or - for standard input.")
	default:
		text, err := e.readInviteFile(given)
		if err != nil {
			return nil, err
		}
		given = text
	}
	v, err := invite.Parse(given)
	if err != nil {
		return nil, cli.Errorf(cli.Usage, "", "%w.", err)
	}
	return v, nil
}

// readInviteFile reads the text of a file, or of standard input.
func (e *enrolment) readInviteFile(path string) (string, error) {
	in := e.streams.In
	if _, typed := cli.Terminal(in); typed && path == fromStdin {
		fmt.Fprintln(e.streams.Err, "Paste the invite, then type Enter and Ctrl-D.")
	}
	if path != fromStdin {
		f, err := os.Open(path)
		if errors.Is(err, fs.ErrNotExist) {
			return "", cli.Errorf(cli.Usage, "", "%s is neither an invite, which begins with edge://, nor a file that holds one.", format.Printable(filepath.Base(path)))
		}
		if err != nil {
			return "", cli.Failed(err, "")
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, invite.MaxText+1))
	if err != nil {
		return "", cli.Failed(err, "")
	}
	text, err := textfile.Decode(b)
	if err != nil {
		return "", cli.Errorf(cli.Usage, "", "this is no invite: %w.", err)
	}
	return text, nil
}

// addKeys adds the keys to an invite that has none: those of an option, or those that are
// there already. An invite without any is of no use yet.
func (e *enrolment) addKeys(c *ucli.Context, v *invite.Invite, dir joinedDir) error {
	given := false
	for _, name := range [...]string{"k", "key-file", "community-file"} {
		_, typed := cli.String(c, name)
		given = given || typed
	}
	switch {
	case v.Keys != nil && given:
		return cli.Errorf(cli.Usage, "", "the invite has the keys of the community: leave -k, --key-file and --community-file out.")
	case v.Keys != nil || !given && dir.hasKeys():
		return nil
	case !given:
		return cli.Errorf(cli.Usage, "", "the invite has no keys of the community, which its supernode does not know. Ask a member to type '%s invite -' and give him this one, or add --community-file FILE or --key-file FILE.", c.App.Name)
	}
	key, err := chooseKey(c, func(string) string { return "" }, "")
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w", err)
	}
	keys, err := key.load(c.Context, v.Name, e.streams.In)
	if err != nil {
		return err
	}
	keys.warn(e.streams.Err)
	v.Keys = keys.Community
	return nil
}

// keepWhatIsThere refuses to write over the keys of another community, and keeps what is
// there and newer than the invite: keys of a schedule that ends later, and a token or an
// obfuscation key for a supernode of which the invite has none.
func (d joinedDir) keepWhatIsThere(ctx context.Context, v *invite.Invite) error {
	if d.hasKeys() && v.Keys != nil {
		source := crypto.FileSource{Path: d.keys()}
		there, err := source.Load(ctx)
		if err != nil {
			return cli.Errorf(cli.Usage, "", "%w. To begin anew type: mv %[2]s %[2]s.old", err, d.keys())
		}
		if there.ID() != v.Keys.ID() {
			return cli.Errorf(cli.Usage, "", "%[1]s holds the keys of another community that is called %[2]q, too. To leave that one for this one stop its edge and type: mv %[1]s %[1]s.old", d.keys(), v.Name)
		}
		if !later(v.Keys, there) {
			v.Keys = nil
		}
	}
	known, err := d.readSupernodes()
	if err != nil {
		return cli.Errorf(cli.Usage, "", "%w. To begin anew type: mv %[2]s %[2]s.old", err, d.supernodes())
	}
	for i := range v.Supernodes {
		s := &v.Supernodes[i]
		kept := withJoined(edge.Supernode{Name: s.Place(), Key: &s.Key}, known)
		if s.Token == (invite.Token{}) {
			copy(s.Token[:], kept.Token)
		}
		if len(s.Obfs) == 0 {
			s.Obfs = kept.ObfsKey
		}
	}
	return nil
}

// later reports whether one schedule of keys goes on after another one has ended.
func later(a, b *crypto.Community) bool {
	endOfA, endOfB := scheduleEnd(a), scheduleEnd(b)
	return endOfA.IsZero() && !endOfB.IsZero() || !endOfB.IsZero() && endOfA.After(endOfB)
}

// sayJoined says what was written, and what to type.
func (e *enrolment) sayJoined(c *ucli.Context, v *invite.Invite, dir joinedDir) {
	out := e.streams.Out
	fmt.Fprintf(out, "joined %q by %s; keys and tokens are in %s.\n", v.Name, format.Count(len(v.Supernodes), "supernode"), dir)
	start := fmt.Sprintf("%s -c %s", c.App.Name, shellWord(v.Name))
	if typed, _ := cli.String(c, "state-dir"); typed != "" {
		start += " --state-dir " + shellWord(typed)
	}
	if given, _ := cli.String(c, "invite"); given != fromStdin && !invite.IsInvite(given) {
		fmt.Fprintf(out, "%s lets in whoever reads it: remove it.\n", given)
	}
	lock, err := cli.Lock(string(dir))
	if errors.Is(err, cli.ErrLocked) {
		fmt.Fprintf(out, "An edge of this community runs: start it again.\n")
		return
	}
	if err == nil {
		_ = lock.Close()
	}
	if v.Keys != nil && v.Keys.Members == crypto.MembersList {
		fmt.Fprintf(out, "Members are listed: once the edge has started, '%s identity' shows the id that the authority has to admit.\n", c.App.Name)
	}
	fmt.Fprintf(out, "Start the edge: %s\n", start)
}
