//go:build unix

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/backup"
)

// ask runs a command beside a supernode and returns what it prints, or what it complains
// of.
func ask(t *testing.T, dir string, want cli.Code, args ...string) string {
	t.Helper()
	term := newTerminal(dir)
	if code := term.run(t.Context(), args...); code != want {
		t.Errorf("%q: exit code %d, want %d: %s%s", args, code, want, term.out.String(), term.err.String())
	}
	return term.out.String() + term.err.String()
}

// writeFile writes a file of a test and returns its path.
func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRules changes the rules by commands, by a file and by n2n's list, and finds those of
// the commands again after a restart.
func TestRules(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "rules.txt"), "allow community friends label Friends of Ana\nban source 192.0.2.0/24\n")
	list := writeFile(t, filepath.Join(dir, "community.list"), "# ours\nmynetwork\nlab[0-1]\nany.*\nhome 192.168.1.0/24\n")
	args := []string{"-p", "0", "--tls-listen", "off", "--rules", file, "-c", list}
	server, stop := serve(t, dir, args...)
	shown := ask(t, dir, cli.OK, "rules")
	for _, want := range []string{
		"mode closed\n", "allow community mynetwork\n", "allow community lab0\nallow community lab1\n", "allow community home\n",
		"allow community friends label \"Friends of Ana\"\n", "ban source 192.0.2.0/24\n", "community.list, line 4", "community.list, line 5",
	} {
		if !strings.Contains(shown, want) {
			t.Errorf("%q lacks %q", shown, want)
		}
	}
	if !strings.Contains(server.err.String(), "line 4") || !strings.Contains(ask(t, dir, cli.Failure, "health"), "line 4") {
		t.Errorf("it does not say what it cannot do: %s", server.err.String())
	}
	for _, c := range []struct{ command, want string }{
		{"allow id 000102030405060708090a0b0c0d0e0f label Ana", "allow id 000102030405060708090a0b0c0d0e0f label Ana; registrations ended: 0\n"},
		{"ban 9f3a-71c2-e0b4", "ban edge 9f3a-71c2-e0b4 since "},
		{"ban edge 1111-2222-3333 label x", "ban edge 1111-2222-3333 since "},
		{"unban edge 1111-2222-3333", "unban edge 1111-2222-3333; "},
		{"unban source 192.0.2.0/24", "unban source 192.0.2.0/24; "},
		{"deny community mynetwork", "deny community mynetwork; "},
		{"kick 9f3a-71c2-e0b4", "kick edge 9f3a-71c2-e0b4 for 1m0s; "},
	} {
		if got := ask(t, dir, cli.OK, strings.Fields(c.command)...); !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", c.command, got)
		}
	}
	changed := ask(t, dir, cli.OK, "rules")
	if code := stop(); code != cli.OK {
		t.Errorf("exit code %d: %s", code, server.err.String())
	}
	_, stop = serve(t, dir, args...)
	defer stop()
	if again := ask(t, dir, cli.OK, "rules"); again != changed || !strings.Contains(again, "deny community mynetwork\n") ||
		!strings.Contains(again, "unban source 192.0.2.0/24\n") || strings.Contains(again, "1111-2222-3333") {
		t.Errorf("after a restart %q, before %q", again, changed)
	}
	var doc admin.Rules
	if err := json.Unmarshal([]byte(ask(t, dir, cli.OK, "rules", "--json")), &doc); err != nil || doc.Mode != "closed" || len(doc.Rules) != 8 {
		t.Errorf("%+v, %v", doc, err)
	}
}

// TestReload reads the file again, by the command and by a signal; a faulty one changes
// nothing, and is said until it is mended.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := writeFile(t, filepath.Join(dir, "rules.txt"), "mode closed\n")
	_, stop := serve(t, dir, "-p", "0", "--tls-listen", "off", "--rules", file)
	defer stop()
	writeFile(t, file, "mode closed\nalow community x\n")
	if got := ask(t, dir, cli.Failure, "reload"); !strings.Contains(got, "line 2") || !strings.Contains(got, `"allow"`) {
		t.Errorf("a faulty file: %q", got)
	}
	if got := ask(t, dir, cli.Failure, "health"); !strings.Contains(got, "the old ones hold") || !strings.Contains(got, "line 2") {
		t.Errorf("health: %q", got)
	}
	if got := ask(t, dir, cli.OK, "rules"); !strings.HasPrefix(got, "mode closed\n") {
		t.Errorf("rules: %q", got)
	}
	writeFile(t, file, "mode closed\nallow community x\n")
	if got := ask(t, dir, cli.OK, "reload"); got != "closed, 1 rule; registrations ended: 0\n" {
		t.Errorf("a mended file: %q", got)
	}
	ask(t, dir, cli.OK, "health")
	writeFile(t, file, "allow community y\n")
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the rules of the signal", func() bool { return ask(t, dir, cli.OK, "rules") == "mode open\nallow community y\n" })
}

// TestDamagedChanges starts with what can be read of the rules that commands have made,
// says what cannot, and keeps it.
func TestDamagedChanges(t *testing.T) {
	dir := t.TempDir()
	state := filepath.Join(dir, "state")
	if err := os.MkdirAll(state, 0o700); err != nil {
		t.Fatal(err)
	}
	damaged := "ban edge 9f3a-71c2-e0b4 since 2026-05-12T00:00:00Z\nallow comm\x00\x00\x00\n"
	writeFile(t, filepath.Join(state, backup.RulesFile), damaged)
	_, stop := serve(t, dir, "-p", "0", "--tls-listen", "off")
	defer stop()
	if got := ask(t, dir, cli.OK, "rules"); !strings.Contains(got, "ban edge 9f3a-71c2-e0b4") {
		t.Errorf("rules: %q", got)
	}
	if got := ask(t, dir, cli.Failure, "health"); !strings.Contains(got, "1 lines") {
		t.Errorf("health: %q", got)
	}
	aside, err := filepath.Glob(filepath.Join(state, backup.RulesFile+".damaged-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("%q, %v", aside, err)
	}
	if kept, err := os.ReadFile(aside[0]); err != nil || string(kept) != damaged {
		t.Errorf("kept %q, %v", kept, err)
	}
	if whole, err := os.ReadFile(filepath.Join(state, backup.RulesFile)); err != nil || strings.Count(string(whole), "\n") != 1 {
		t.Errorf("left %q, %v", whole, err)
	}
	if err := os.Remove(aside[0]); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, dir, cli.OK, "health"); strings.Contains(got, "1 lines") {
		t.Errorf("health after the file was removed: %q", got)
	}
}

func TestRuleFailures(t *testing.T) {
	dir := t.TempDir()
	faulty := writeFile(t, filepath.Join(dir, "faulty"), "\nban edge 12\n")
	for name, test := range map[string]struct {
		args []string
		code cli.Code
		want string
	}{
		"faulty file":     {[]string{"-p", "0", "--rules", faulty}, cli.Usage, "faulty, line 2: "},
		"no file":         {[]string{"-p", "0", "--rules", faulty + "x"}, cli.Usage, "no such file"},
		"no list":         {[]string{"-p", "0", "-c", faulty + "x"}, cli.Usage, "no such file"},
		"mode":            {[]string{"-p", "0", "--mode", "close"}, cli.Usage, `the nearest one is "closed"`},
		"no words":        {[]string{"ban"}, cli.Usage, "say whom"},
		"unknown kind":    {[]string{"allow", "comunity", "x"}, cli.Usage, `"community"`},
		"nobody to kick":  {[]string{"kick"}, cli.Usage, "say whom"},
		"nothing running": {[]string{"deny", "community", "x", "--control", faulty + "x"}, cli.Failure, "no supernode is running"},
		"left-over":       {[]string{"reload", "x"}, cli.Usage, "[E24]"},
	} {
		if got := ask(t, dir, test.code, test.args...); !strings.Contains(got, test.want) {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// A change that cannot be kept does not hold.
func TestChangeThatCannotBeKept(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0", "--tls-listen", "off")
	defer stop()
	if err := os.Mkdir(filepath.Join(dir, "state", backup.RulesFile), 0o700); err != nil {
		t.Fatal(err)
	}
	if got := ask(t, dir, cli.Failure, "deny", "community", "x"); !strings.Contains(got, "does not hold") {
		t.Errorf("%q", got)
	}
	if got := ask(t, dir, cli.OK, "rules"); got != "mode open\n" {
		t.Errorf("rules: %q", got)
	}
}

// An answer that does not wait for the end says that it goes on.
func TestChangeThatGoesOn(t *testing.T) {
	if done, err := later(admin.Changed{Ended: 2}, context.DeadlineExceeded); err != nil || done.Ended != 2 || len(done.Notes) != 1 {
		t.Errorf("%+v, %v", done, err)
	}
	if done, err := later(admin.Changed{}, context.Canceled); err == nil || len(done.Notes) != 0 {
		t.Errorf("%+v, %v", done, err)
	}
}
