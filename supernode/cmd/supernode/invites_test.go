package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/cli"
	"hedgerow/internal/invite"
	"hedgerow/supernode/admin"
)

// typed runs a command beside the supernode in a folder.
func typed(t *testing.T, dir string, args ...string) (out, errs string, code cli.Code) {
	t.Helper()
	term := newTerminal(dir)
	code = term.run(t.Context(), args...)
	return term.out.String(), term.err.String(), code
}

func TestInviteAndTakeBack(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0", "--mode", "closed")
	defer stop()
	st := status(t, dir)
	out, errs, code := typed(t, dir, "invite", "my network", "--ttl", "7d", "--uses", "2", "--address", "vps.example",
		"--also", "[2001:db8::9]:1#"+strings.Repeat("A", 42)+"E")
	if code != cli.OK || !strings.Contains(errs, "for 2 edges until ") || !strings.Contains(errs, "edge invite -") || strings.Contains(errs, "without an invite") {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	v, err := invite.Parse(out)
	if err != nil || strings.Count(out, "\n") != 1 {
		t.Fatalf("%q: %v", out, err)
	}
	first := v.Supernodes[0]
	if v.Name != "my network" || len(v.Supernodes) != 2 || first.Host != "vps.example" || first.Port != st.Listen.Port() || first.Token == (invite.Token{}) || v.Supernodes[1].Token != (invite.Token{}) || v.Keys != nil {
		t.Errorf("%+v", v)
	}
	if got := invite.EncodeToken(invite.Token(first.Key[:16])); !strings.HasPrefix(st.Key, got[:20]) {
		t.Errorf("key %s, want %s", got, st.Key)
	}
	out, errs, code = typed(t, dir, "invite", "other", "--address", "203.0.113.9:99", "--json")
	var printed printedInvite
	if err := json.Unmarshal([]byte(out), &printed); err != nil || code != cli.OK || errs != "" || printed.Uses != 1 || printed.Expires.Sub(printed.Made) != 24*time.Hour {
		t.Fatalf("%d: %s%s: %+v", code, out, errs, printed)
	}
	if v, err := invite.Parse(printed.Text); err != nil || v.Supernodes[0].Place() != "203.0.113.9:99" {
		t.Errorf("%+v, %v", v, err)
	}
	if out, _, code = typed(t, dir, "invites"); code != cli.OK || !strings.Contains(out, printed.ID+"  other") || !strings.Contains(out, "0 of 2") {
		t.Errorf("%d: %s", code, out)
	}
	if out, _, code = typed(t, dir, "uninvite", printed.ID); code != cli.OK || !strings.Contains(out, `"other" is taken back; registrations ended: 0`) {
		t.Errorf("%d: %s", code, out)
	}
	var left []admin.Invite
	if out, _, _ = typed(t, dir, "invites", "--json"); json.Unmarshal([]byte(out), &left) != nil || len(left) != 1 || left[0].Community != "my network" {
		t.Errorf("left is %s", out)
	}
	// An invite to a community that is let in anyway says so, and a restart knows the first.
	if out, _, code = typed(t, dir, "allow", "community", "other"); code != cli.OK {
		t.Fatal(out)
	}
	if _, errs, _ = typed(t, dir, "invite", "other", "--address", "a"); !strings.Contains(errs, "without an invite") {
		t.Errorf("%s", errs)
	}
	stop()
	_, stop = serve(t, dir, "-p", "0")
	defer stop()
	if out, _, _ = typed(t, dir, "invites"); strings.Count(out, "\n") != 3 {
		t.Errorf("after a restart: %s", out)
	}
}

func TestInviteFailures(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	if out, errs, code := typed(t, dir, "deny", "community", "denied"); code != cli.OK {
		t.Fatal(out, errs)
	}
	at := []string{"--address", "vps.example"}
	for name, test := range map[string]struct {
		args []string
		code cli.Code
		want string
	}{
		"no community":  {append([]string{"invite"}, at...), cli.Usage, "to which community?"},
		"two":           {append([]string{"invite", "a", "b"}, at...), cli.Usage, "[E24]"},
		"no time":       {append([]string{"invite", "a", "--ttl", "x"}, at...), cli.Usage, "--ttl"},
		"too long":      {append([]string{"invite", "a", "--ttl", "9999w"}, at...), cli.Failure, "366 days"},
		"denied":        {append([]string{"invite", "denied"}, at...), cli.Failure, "a rule denies the community"},
		"nobody":        {append([]string{"invite", "a", "--uses", "0"}, at...), cli.Failure, "1 to 1000 edges"},
		"odd name":      {append([]string{"invite", "a\x1b"}, at...), cli.Failure, "unprintable"},
		"a URL":         {[]string{"invite", "a", "--address", "http://a"}, cli.Usage, "--address http://a"},
		"port 0":        {[]string{"invite", "a", "--address", "a:0"}, cli.Usage, "1 to 65535"},
		"also unpinned": {append([]string{"invite", "a", "--also", "b:1"}, at...), cli.Usage, "supernode id"},
		"no id":         {[]string{"uninvite"}, cli.Usage, "supernode invites"},
		"another id":    {[]string{"uninvite", "ffffffff"}, cli.Failure, "no invite of that id"},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := typed(t, dir, test.args...)
			if code != test.code || out != "" || !strings.Contains(errs, test.want) {
				t.Errorf("%d: %s%s", code, out, errs)
			}
		})
	}
}

// The obfuscation key goes into invites, for the other supernode as well, and is said nowhere.
func TestInviteHasObfsKey(t *testing.T) {
	const key = "q8s0Lk3vZp2mX7yW1bNcT5dR9fGhJ4aE"
	dir := t.TempDir()
	file := filepath.Join(dir, "obfs.key")
	if err := os.WriteFile(file, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server, stop := serve(t, dir, "-p", "0", "--obfs-key-file", file)
	defer stop()
	if st := status(t, dir); !st.Totals.Obfuscated {
		t.Error("status does not say that it is on")
	}
	out, _, code := typed(t, dir, "invite", "n", "--address", "vps.example", "--also", "b.example:1#"+strings.Repeat("A", 42)+"E")
	v, err := invite.Parse(out)
	if code != cli.OK || err != nil || string(v.Supernodes[0].Obfs) != key || string(v.Supernodes[1].Obfs) != key {
		t.Errorf("%d: %v: %s", code, err, out)
	}
	shown, errs, _ := typed(t, dir, "status")
	if said := shown + errs + server.out.String() + server.err.String(); strings.Contains(said, key) || !strings.Contains(shown, "obfs key") {
		t.Errorf("it is shown, or not said: %s", said)
	}
	if stop(); !strings.Contains(server.err.String(), "obfs_key=on") || complains(server.err.String()) {
		t.Errorf("%s", server.err.String())
	}
}
