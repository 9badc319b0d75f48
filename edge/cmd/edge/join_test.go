package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/crypto"
	"hedgerow/edge"
	"hedgerow/internal/cli"
	"hedgerow/internal/invite"
)

// house is a machine of a test with a state directory.
type house struct {
	t     *testing.T
	state string
	now   time.Time
}

func newHouse(t *testing.T) *house {
	return &house{t: t, state: filepath.Join(t.TempDir(), "state"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
}

// types types a command and returns what it prints.
func (h *house) types(stdin string, args ...string) (out, errs string, code cli.Code) {
	h.t.Helper()
	cmd := testCommand(map[string]string{"STATE_DIRECTORY": h.state})
	cmd.streams.In, cmd.now = strings.NewReader(stdin), func() time.Time { return h.now }
	code = cmd.run(h.t.Context(), append([]string{program}, args...))
	return cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String(), code
}

// must is types for a command that succeeds. It returns what goes to the output.
func (h *house) must(stdin string, args ...string) string {
	h.t.Helper()
	out, errs, code := h.types(stdin, args...)
	if code != cli.OK {
		h.t.Fatalf("%q: %d: %s", args, code, errs)
	}
	return out
}

// options returns what a start of the edge would do.
func (h *house) options(args ...string) (o options, err error) {
	cmd := testCommand(map[string]string{"STATE_DIRECTORY": h.state})
	app := cmd.app()
	app.Action = func(c *ucli.Context) error { o, err = cmd.parseOptions(c); return nil }
	if code := cli.Run(h.t.Context(), app, append([]string{program}, args...), cmd.streams); code != cli.OK {
		h.t.Fatal(code)
	}
	return o, err
}

// file writes a file with an invite or keys.
func (h *house) file(name, text string) string {
	h.t.Helper()
	path := filepath.Join(h.t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		h.t.Fatal(err)
	}
	return path
}

// supernodeInvite is what a supernode prints.
func supernodeInvite(t *testing.T, name string) string {
	t.Helper()
	v := &invite.Invite{Name: name, Supernodes: []invite.Supernode{
		{Host: "vps.example", Port: 7654, Key: [32]byte{31: 1}, Token: invite.Token{1, 2, 3}},
		{Host: "2001:db8::9", Port: 7655, Key: [32]byte{31: 2}},
	}}
	s, err := v.Text()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// From a supernode's invite to an edge that needs nothing but the community's name.
func TestInviteToStart(t *testing.T) {
	member, newcomer := newHouse(t), newHouse(t)
	made := member.must("", "keygen", "--community", "my network", "--epochs", "3")
	keys := member.file("keys", made)
	string1, errs, code := member.types(supernodeInvite(t, "my network"), "invite", "-", "--community-file", keys)
	if code != cli.OK || !strings.Contains(errs, `a member of "my network"`) || !strings.Contains(errs, "2026-05-30") || strings.Contains(errs, "no token") {
		t.Fatalf("%d: %s", code, errs)
	}
	if strings.Count(string1, "\n") != 1 {
		t.Errorf("more than the invite goes to the output: %q", string1)
	}
	out := newcomer.must(string1, "join", "-")
	if want := "Start the edge: edge -c 'my network'\n"; !strings.HasSuffix(out, want) || !strings.Contains(out, `joined "my network" by 2 supernodes`) {
		t.Errorf("%q, want the end %q", out, want)
	}
	o, err := newcomer.options("-c", "my network")
	if err != nil {
		t.Fatal(err)
	}
	want := []edge.Supernode{
		{Name: "vps.example:7654", Host: "vps.example", Port: 7654, Key: &[32]byte{31: 1}, Token: []byte{1, 2, 3, 15: 0}},
		{Name: "[2001:db8::9]:7655", Host: "2001:db8::9", Port: 7655, Key: &[32]byte{31: 2}},
	}
	if !reflect.DeepEqual(o.Supernodes, want) {
		t.Errorf("%+v, want %+v", o.Supernodes, want)
	}
	got, err := o.Community.Key.load(t.Context(), o.Community.Name, nil)
	if err != nil {
		t.Fatal(err)
	}
	first, err := crypto.ParseCommunity([]byte(made))
	if err != nil || got.ID() != first.ID() || len(got.Epochs) != 3 || got.source == nil {
		t.Errorf("%v with %d epochs, %v", got.Community, len(got.Epochs), err)
	}
	for _, name := range []string{joinedKeys, joinedSupernodes} {
		if state, err := os.Stat(filepath.Join(newcomer.state, "my%20network", name)); err != nil || state.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, state, err)
		}
	}
	// What is typed goes before what was joined, and is completed by it.
	if o, err = newcomer.options("-c", "my network", "-k", "typed", "-l", "vps.example:7654", "-l", "other.example:1"); err != nil ||
		o.Community.Key.kind != keyOption || !reflect.DeepEqual(o.Supernodes, []edge.Supernode{want[0], {Name: "other.example:1", Host: "other.example", Port: 1}}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err = newcomer.options("-c", "my network", "-l", "vps.example:7654#"+strings.Repeat("0", 63)+"7"); err != nil || o.Supernodes[0].Token != nil {
		t.Errorf("another supernode gets the token: %+v, %v", o.Supernodes, err)
	}
	// Who has joined invites without the token that is his.
	again, errs, code := newcomer.types("", "invite", "-c", "my network")
	v, err := invite.Parse(again)
	if code != cli.OK || err != nil || v.Supernodes[0].Token != (invite.Token{}) || v.Supernodes[0].Key != *want[0].Key || len(v.Supernodes) != 2 || v.Keys.ID() != first.ID() {
		t.Errorf("%d, %v: %+v", code, err, v)
	}
	if !strings.Contains(errs, "no token") {
		t.Errorf("it does not say that it has no token: %s", errs)
	}
}

// A supernode that was trusted at first sight is in an invite with the key that the edge knows
// it by, and one whose key has changed since it was typed with the new one.
func TestInviteHasPinnedKeys(t *testing.T) {
	h := newHouse(t)
	text := func(n byte) string { return base64.RawURLEncoding.EncodeToString([]byte{31: n}) }
	invite1 := func(at string) (*invite.Invite, string, cli.Code) {
		out, errs, code := h.types("", "invite", "-c", "n", "-k", "secret", "-l", at)
		if code != cli.OK {
			return nil, errs, code
		}
		v, err := invite.Parse(out)
		if err != nil {
			t.Fatal(err)
		}
		return v, errs, code
	}
	if _, errs, code := invite1("a:1"); code != cli.Usage || !strings.Contains(errs, "no edge of this machine has met it") || !strings.Contains(errs, "-l a:1#KEY") {
		t.Errorf("before the edge has run: %d: %s", code, errs)
	}
	state := filepath.Join(h.state, "n", "state.json")
	if err := os.MkdirAll(filepath.Dir(state), 0o700); err != nil {
		t.Fatal(err)
	}
	write := func(text string) {
		if err := os.WriteFile(state, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fmt.Sprintf(`{"supernodes":{"a:1":%q},"rotations":{"b:1":{"keys":[%q,%q],"serial":5}}}`, text(3), text(4), text(5)))
	for at, want := range map[string]byte{"a:1": 3, "b:1#" + text(4): 5, "a:1#" + text(6): 6} {
		v, errs, code := invite1(at)
		if code != cli.OK || v.Supernodes[0].Key != [32]byte{31: want} {
			t.Errorf("%s: %d, %+v: %s", at, code, v, errs)
		}
	}
	write("{")
	if _, errs, code := invite1("a:1"); code != cli.Usage || !strings.Contains(errs, "cannot be read") {
		t.Errorf("with a damaged state: %d: %s", code, errs)
	}
	if v, errs, code := invite1("a:1#" + text(6)); code != cli.OK || v.Supernodes[0].Key != [32]byte{31: 6} {
		t.Errorf("a typed key with a damaged state: %d: %s", code, errs)
	}
}

// A supernode that has another key by now (rotate-key) is known by that, whatever the invite
// said, and where it is typed the edge has its token still.
func TestJoinedBeforeRotation(t *testing.T) {
	h := newHouse(t)
	keys := h.file("keys", h.must("", "keygen", "--community", "n"))
	h.must(supernodeInvite(t, "n"), "join", "-", "--community-file", keys)
	next := crypto.NewIdentity([32]byte{7}).Static
	text := base64.RawURLEncoding.EncodeToString(next[:])
	state := fmt.Sprintf(`{"rotations":{"vps.example:7654":{"keys":[%q,%q],"serial":9}}}`, base64.RawURLEncoding.EncodeToString([]byte{31: 1}), text)
	if err := os.WriteFile(filepath.Join(h.state, "n", "state.json"), []byte(state), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"-c", "n"}, {"-c", "n", "-l", "vps.example:7654#" + text}} {
		o, err := h.options(args...)
		if err != nil || *o.Supernodes[0].Key != next || !bytes.Equal(o.Supernodes[0].Token, []byte{1, 2, 3, 15: 0}) {
			t.Errorf("%q: %+v, %v", args, o.Supernodes, err)
		}
	}
}

// Keys that have ended are no business of who comes now.
func TestInviteLeavesOldKeysOut(t *testing.T) {
	h := newHouse(t)
	keys := h.file("keys", h.must("", "keygen", "--community", "n", "--epochs", "3"))
	for after, want := range map[time.Duration]int{0: 3, 30*24*time.Hour + time.Hour: 3, 32 * 24 * time.Hour: 2, 300 * 24 * time.Hour: 3} {
		h.now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(after)
		v, err := invite.Parse(h.must("", "invite", "--community-file", keys, "-l", "a:1#"+strings.Repeat("0", 63)+"1"))
		if err != nil || len(v.Keys.Epochs) != want {
			t.Errorf("after %v: %v, %d keys, want %d", after, err, len(v.Keys.Epochs), want)
		}
	}
}

// The same community may be joined again: by a new token, and by new keys.
func TestJoinAgain(t *testing.T) {
	member, h := newHouse(t), newHouse(t)
	text := member.must("", "keygen", "--community", "n", "--epochs", "2")
	short, err := crypto.ParseCommunity([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	long := *short
	short.Epochs = short.Epochs[:1]
	invited := func(c *crypto.Community, s invite.Supernode) string {
		text, err := (&invite.Invite{Name: "n", Supernodes: []invite.Supernode{s}, Keys: c}).Text()
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	at := invite.Supernode{Host: "vps.example", Port: 7654, Key: [32]byte{31: 1}}
	with := at
	with.Token = invite.Token{7}
	moved := with
	moved.Host, moved.Token = "new.example", invite.Token{8}
	for _, step := range []struct {
		what   string
		invite string
		epochs int
		want   string // the supernode and its token
	}{
		{"first", invited(short, with), 1, fmt.Sprint("vps.example ", with.Token[:])},
		{"more keys, no token", invited(&long, at), 2, fmt.Sprint("vps.example ", with.Token[:])},
		{"fewer keys", invited(short, at), 2, fmt.Sprint("vps.example ", with.Token[:])},
		{"no keys, another supernode", invited(nil, moved), 2, fmt.Sprint("new.example ", moved.Token[:])},
	} {
		h.must(step.invite, "join", "-")
		o, err := h.options("-c", "n")
		if err != nil {
			t.Fatal(err)
		}
		got, err := o.Community.Key.load(t.Context(), "n", nil)
		if err != nil || len(got.Epochs) != step.epochs {
			t.Errorf("%s: %d epochs, %v", step.what, len(got.Epochs), err)
		}
		if s := o.Supernodes[0]; len(o.Supernodes) != 1 || fmt.Sprint(s.Host, " ", s.Token) != step.want {
			t.Errorf("%s: %+v, want %s", step.what, o.Supernodes, step.want)
		}
	}
}

func TestJoinFailures(t *testing.T) {
	h, member := newHouse(t), newHouse(t)
	keysOf := func(name string) string { return member.file("keys", member.must("", "keygen", "--community", name)) }
	mine, other := keysOf("n"), keysOf("n")
	bare := supernodeInvite(t, "n")
	whole, foreign := member.must(bare, "invite", "-", "--community-file", mine), member.must(bare, "invite", "-", "--community-file", other)
	h.must(whole, "join", "-")
	damaged := newHouse(t)
	damaged.must(whole, "join", "-")
	if err := os.WriteFile(joinedIn(damaged.state, "n").keys(), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	unread := newHouse(t)
	unread.must(whole, "join", "-")
	if err := os.WriteFile(joinedIn(unread.state, "n").supernodes(), []byte("vps.example:1#x token"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		at    *house
		stdin string
		line  []string
		want  string
	}{
		"nothing":                  {h, "", []string{"join"}, "which invite?"},
		"two":                      {h, "", []string{"join", "a", "b"}, "[E24]"},
		"no file":                  {h, "", []string{"join", "/nonexistent/x"}, "x is neither an invite"},
		"a page":                   {h, "<html>", []string{"join", "-"}, "this is no invite"},
		"half":                     {h, whole[:len(whole)/2], []string{"join", "-"}, "copy it again, whole"},
		"no keys":                  {newHouse(t), bare, []string{"join", "-"}, "edge invite -"},
		"keys twice":               {h, whole, []string{"join", "-", "--community-file", mine}, "leave -k, --key-file"},
		"keys of another name":     {h, bare, []string{"join", "-", "--community-file", keysOf("m")}, `"m"`},
		"another community":        {h, foreign, []string{"join", "-"}, "mv " + joinedIn(h.state, "n").keys() + " "},
		"damaged keys":             {damaged, whole, []string{"join", "-"}, "mv " + joinedIn(damaged.state, "n").keys() + " "},
		"damaged supernodes":       {unread, whole, []string{"join", "-"}, "mv " + joinedIn(unread.state, "n").supernodes() + " "},
		"start with those":         {unread, "", []string{"-c", "n"}, "supernodes, line 1: "},
		"an invite to another one": {h, bare, []string{"invite", "-", "-c", "m"}, `the invite is to "n"`},
		"has its keys":             {h, whole, []string{"invite", "-"}, "has the keys of the community already"},
		"no community":             {h, "", []string{"invite"}, "no key"},
		"supernode without key":    {h, "", []string{"invite", "-c", "n", "-k", "x", "-l", "a:1"}, "supernode id"},
		"not joined":               {newHouse(t), "", []string{"invite", "-c", "n"}, "no key"},
		"both from standard input": {h, bare, []string{"invite", "-", "--key-file", "-"}, "cannot both come from standard input"},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := os.ReadFile(joinedIn(test.at.state, "n").keys())
			out, errs, code := test.at.types(test.stdin, test.line...)
			if code != cli.Usage || !strings.Contains(errs, test.want) || out != "" {
				t.Errorf("%d: %s%s", code, out, errs)
			}
			if strings.Contains(errs, "AQIDAAAAAAAA") {
				t.Errorf("the token is said: %s", errs)
			}
			after, now := os.ReadFile(joinedIn(test.at.state, "n").keys())
			if string(before) != string(after) || (err == nil) != (now == nil) {
				t.Error("it has changed the keys that are there")
			}
		})
	}
}

// An invite may come as an argument and in a file, with a word about who sees it there;
// keys may be given beside it, and a passphrase has keys, too.
func TestJoinOtherwise(t *testing.T) {
	bare := supernodeInvite(t, "n")
	h := newHouse(t)
	_, errs, code := h.types("correct horse battery staple", "join", bare, "--key-file", "-")
	if code != cli.OK || !strings.Contains(errs, "shell history") {
		t.Fatalf("%d: %s", code, errs)
	}
	same, err := crypto.FromPassphrase("n", "correct horse battery staple")
	if err != nil {
		t.Fatal(err)
	}
	o, err := h.options("-c", "n")
	if err != nil {
		t.Fatal(err)
	}
	if got, err := o.Community.Key.load(t.Context(), "n", nil); err != nil || got.ID() != same.ID() || got.Epochs[0].Key != same.Epochs[0].Key {
		t.Errorf("%v, %v", got.Community, err)
	}
	path := h.file("invite", bare)
	if out := h.must("", "join", path); !strings.Contains(out, path+" lets in whoever reads it: remove it.") {
		t.Errorf("%s", out)
	}
	lock, err := cli.Lock(string(joinedIn(h.state, "n")))
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if out := h.must(bare, "join", "-"); !strings.Contains(out, "start it again") {
		t.Errorf("%s", out)
	}
}

// In a community with a list of members keys make nobody a member, and both ends read what
// does.
func TestInviteToListedCommunity(t *testing.T) {
	h := newHouse(t)
	c, err := crypto.ParseCommunity([]byte(h.must("", "keygen", "--community", "n", "--epochs", "1")))
	if err != nil {
		t.Fatal(err)
	}
	c.Members, c.Authority = crypto.MembersList, crypto.NewIdentity([32]byte{1}).ID
	text, err := c.AppendText(nil)
	if err != nil {
		t.Fatal(err)
	}
	out, errs, code := h.types(supernodeInvite(t, "n"), "invite", "-", "--community-file", h.file("keys", string(text)))
	if code != cli.OK || !strings.Contains(errs, "edge admit ID") || strings.Contains(errs, "is a member") {
		t.Errorf("%d: %s", code, errs)
	}
	if out = newHouse(t).must(out, "join", "-"); !strings.Contains(out, "'edge identity' shows the id") {
		t.Errorf("%s", out)
	}
}

// The code is drawn beside the words, never into the output.
func TestInviteShowsQR(t *testing.T) {
	h := newHouse(t)
	line := []string{"invite", "-c", "n", "-k", "x", "-l", "a:1#" + strings.Repeat("0", 63) + "1"}
	for more, want := range map[string]bool{"--qr": true, "--qr=false": false, "--key-file=": false} {
		_, errs, _ := h.types("", append(line, strings.Fields(more)...)...)
		if got := strings.Contains(errs, "▀"); got != want {
			t.Errorf("%s: %v: %s", more, got, errs)
		}
	}
}

// The obfuscation key comes by the invite, and goes on with the next one; what is typed counts
// instead.
func TestInviteBringsObfsKey(t *testing.T) {
	const key, other = "q8s0Lk3vZp2mX7yW1bNcT5dR9fGhJ4aE", "Zp2mX7yW1bNcT5dR9fGhJ4aEq8s0Lk3v"
	made := newHouse(t).must("", "keygen", "--community", "n", "--epochs", "3")
	v := &invite.Invite{Name: "n", Supernodes: []invite.Supernode{
		{Host: "vps.example", Port: 7654, Key: [32]byte{31: 1}, Obfs: invite.ObfsKey(key)}, {Host: "b.example", Port: 7654, Key: [32]byte{31: 2}},
	}}
	text, err := v.Text()
	if err != nil {
		t.Fatal(err)
	}
	h := newHouse(t)
	if out := h.must(text, "join", "-", "--community-file", h.file("keys", made)); strings.Contains(out, key) {
		t.Errorf("it is said: %s", out)
	}
	for _, test := range []struct{ args, want []string }{
		{nil, []string{key, ""}}, {[]string{"--obfs-key", other}, []string{other, other}}, {[]string{"-l", "vps.example:7654"}, []string{key}},
	} {
		o, err := h.options(append([]string{"-c", "n"}, test.args...)...)
		useObfs(o.Supernodes, o.Community.Obfs)
		var got []string
		for _, s := range o.Supernodes {
			got = append(got, string(s.ObfsKey))
		}
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q, %v", test.args, got, test.want, err)
		}
	}
	next, err := invite.Parse(h.must("", "invite", "-c", "n"))
	if err != nil || string(next.Supernodes[0].Obfs) != key || len(next.Supernodes[1].Obfs) != 0 {
		t.Errorf("the next invite: %+v, %v", next, err)
	}
	// Joining again by an invite without it keeps it.
	v.Supernodes[0].Obfs = nil
	if text, err = v.Text(); err != nil {
		t.Fatal(err)
	}
	h.must(text, "join", "-")
	if o, err := h.options("-c", "n"); err != nil || string(o.Supernodes[0].ObfsKey) != key {
		t.Errorf("after joining again: %+v, %v", o.Supernodes, err)
	}
}
