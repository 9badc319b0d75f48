package main

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/roster"
)

// listing is an edge whose community has a list of members, which it takes and shows.
type listing struct {
	shown
	community *crypto.Community
	file      roster.File
}

func (l *listing) Members(context.Context) (control.Members, error) {
	cid := l.community.ID()
	v := control.Members{Community: "mynetwork", ID: hex.EncodeToString(cid[:]), Listed: true, Authority: crypto.EncodeAuthority(l.community.Authority), NextIndex: 3}
	if l.file.List == nil {
		return v, nil
	}
	v.Serial = l.file.List.Head.Serial
	for _, e := range l.file.List.Entries() {
		m := control.ListedMember{ID: hex.EncodeToString(e.ID[:]), Roles: e.Role.Names(), Revoked: e.Revoked()}
		if !e.Expires.IsZero() {
			m.Expires = &e.Expires
		}
		v.Entries = append(v.Entries, m)
	}
	return v, nil
}

func (l *listing) AdoptMembers(_ context.Context, b []byte) (err error) {
	l.file, err = roster.ParseFile(l.community, b)
	return err
}

// TestSignLists makes an authority, admits members, changes and revokes them: what the
// running edge gets is signed by the authority and says what was typed.
func TestSignLists(t *testing.T) {
	dir := t.TempDir()
	key := filepath.Join(dir, "authority")
	socket := filepath.Join(dir, "mynetwork.sock")
	run := func(want cli.Code, args ...string) (out, errs string) {
		t.Helper()
		cmd := testCommand(nil)
		if code := cmd.run(t.Context(), append([]string{program}, args...)); code != want {
			t.Fatalf("%v: code %d, %s", args, code, cmd.streams.Err)
		}
		return cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String()
	}
	lines, _ := run(cli.OK, "authority", key)
	if again, _ := run(cli.OK, "authority", key); again != lines || !strings.HasPrefix(lines, "members = list\nauthority = ") {
		t.Errorf("the lines are %q and %q", lines, again)
	}
	if info, err := os.Stat(key); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	c, err := crypto.ParseCommunity([]byte("hedgerow community 1\nname = mynetwork\nsecret = " + strings.Repeat("A", 42) + "E=\n" + lines +
		"epoch 2 - - auto " + strings.Repeat("B", 42) + "E=\n"))
	if err != nil {
		t.Fatal(err)
	}
	src := &listing{community: c}
	serveAt(t, socket, control.Handler(src))
	one, two := crypto.NewIdentity([32]byte{1}), crypto.NewIdentity([32]byte{2})
	hexOf := func(id *crypto.Identity) string { return hex.EncodeToString(id.ID) }
	sign := func(want cli.Code, args ...string) string {
		_, errs := run(want, append(args[:1:1], append([]string{"--authority", key, "--control", socket}, args[1:]...)...)...)
		return errs
	}
	entry := func(id *crypto.Identity) roster.Entry {
		e, _ := src.file.List.Find([32]byte(id.ID))
		return e
	}
	sign(cli.OK, "admit", "--role", "bridge", "--role", "router", hexOf(one), hexOf(two))
	if e := entry(two); src.file.List.Head.Serial != 1 || e.Role != roster.Bridge|roster.Router || !e.Expires.IsZero() || len(src.file.Rolls) != 0 {
		t.Errorf("admitted: %+v", e)
	}
	sign(cli.OK, "admit", "--role", "plain", "--expires", "30d", two.ShortID())
	if e := entry(two); e.Role != 0 || !e.Expires.Equal(testCommand(nil).now().Add(30*24*time.Hour).Truncate(time.Second)) || entry(one).Role != roster.Bridge|roster.Router {
		t.Errorf("changed: %+v", e)
	}
	sign(cli.OK, "revoke", two.ShortID())
	if e := entry(two); !e.Revoked() || len(src.file.Rolls) != 1 || src.file.Rolls[0].KI != 3 || src.file.Rolls[0].Version != src.file.List.Head.Serial {
		t.Errorf("revoked: %+v, keys %v", e, len(src.file.Rolls))
	}
	before := slices.Clone(src.file.List.Entries())
	sign(cli.OK, "admit") // the list as it is, so that it is not stale
	if src.file.List.Head.Serial != 4 || !slices.Equal(src.file.List.Entries(), before) {
		t.Error("signed again it is another list")
	}
	sign(cli.OK, "admit", two.ShortID())
	if entry(two).Revoked() {
		t.Error("who was admitted again is revoked")
	}
	sign(cli.OK, "revoke", one.ShortID(), "--stale", "7d", two.ShortID())
	if !entry(one).Revoked() || !entry(two).Revoked() {
		t.Error("of two identities that were named not both are revoked")
	}
	for _, tt := range []struct {
		args []string
		says string
	}{
		{[]string{"admit", "9f3a-71c2-e0b4"}, "type all 64 hexadecimal digits"},
		{[]string{"admit", "nobody"}, "is no identity"},
		{[]string{"admit", "--role", "king", hexOf(one)}, `"king" is no role`},
		{[]string{"admit", "--expires", "2020-01-01", hexOf(one)}, "2020-01-01 is over"},
		{[]string{"revoke"}, "nobody is named"},
		{[]string{"revoke", hexOf(crypto.NewIdentity([32]byte{3}))}, "is not in the list"},
	} {
		if errs := sign(cli.Usage, tt.args...); !strings.Contains(errs, tt.says) {
			t.Errorf("%v: %q, want %q", tt.args, errs, tt.says)
		}
	}
	if _, errs := run(cli.Usage, "admit", "--control", socket, hexOf(one)); !strings.Contains(errs, "--authority FILE") {
		t.Errorf("without a key: %s", errs)
	}
	other := filepath.Join(dir, "other")
	run(cli.OK, "authority", other)
	if _, errs := run(cli.Failure, "admit", "--authority", other, "--control", socket); !strings.Contains(errs, "is another one") {
		t.Errorf("with another's key: %s", errs)
	}
}
