package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/backup"
)

// A copy of a running supernode, of the same one stopped, and what a second one is that was
// restored from it: all three know the same key, invites and rules.
func TestBackupAndRestore(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	key := status(t, dir).Key
	for _, args := range [][]string{{"allow", "community", "one"}, {"invite", "one", "--address", "vps.example"}} {
		if out, errs, code := typed(t, dir, args...); code != cli.OK {
			t.Fatal(out, errs)
		}
	}
	running, stopped, secret := filepath.Join(dir, "running"), filepath.Join(dir, "stopped"), filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := typed(t, dir, "backup", running)
	if code != cli.OK || !strings.Contains(out, "holds the private key of supernode "+key+", 0 registrations, 1 invite and 1 rule. Whoever has it can be this supernode") {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	if st, err := os.Stat(running); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if _, errs, code = typed(t, dir, "backup", running); code != cli.Failure || !strings.Contains(errs, "--force") {
		t.Errorf("over a file: %d: %s", code, errs)
	}
	if _, errs, code = typed(t, dir, "restore", running); code != cli.Failure || !strings.Contains(errs, "a supernode runs") {
		t.Errorf("while it runs: %d: %s", code, errs)
	}
	stop()
	if out, errs, code = typed(t, dir, "backup", "--passphrase-file", secret, "--json", stopped); code != cli.OK {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	var sum backup.Summary
	if err := json.Unmarshal([]byte(out), &sum); err != nil || !sum.Sealed || sum.Key != key || sum.Invites != 1 || sum.Rules != 1 {
		t.Errorf("%v: %s", err, out)
	}
	if _, errs, code = typed(t, other, "restore", stopped); code != cli.Usage || !strings.Contains(errs, "--passphrase-file FILE") {
		t.Errorf("sealed: %d: %s", code, errs)
	}
	if out, errs, code = typed(t, other, "restore", stopped, "--passphrase-file", secret); code != cli.OK || !strings.Contains(out, key) || !strings.Contains(out, "Start it.") {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	if _, errs, code = typed(t, other, "restore", running); code != cli.Failure || !strings.Contains(errs, "--force") {
		t.Errorf("over a state: %d: %s", code, errs)
	}
	if out, errs, code = typed(t, other, "restore", "--force", running); code != cli.OK || !strings.Contains(out, "The state of before is in "+filepath.Join(other, "state", "replaced-")) {
		t.Errorf("with force: %d: %s%s", code, out, errs)
	}
	_, stop = serve(t, other, "-p", "0")
	defer stop()
	if got := status(t, other).Key; got != key {
		t.Errorf("the key is %s, want %s", got, key)
	}
	if out, _, _ = typed(t, other, "rules"); !strings.Contains(out, "allow community one") {
		t.Errorf("rules: %s", out)
	}
	if out, _, _ = typed(t, other, "invites"); !strings.Contains(out, "0 of 1") {
		t.Errorf("invites: %s", out)
	}
}

func TestBackupFailures(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	newer, damaged, open := file("newer", "hedgerow supernode backup 2 plain\n", 0o600), file("damaged", "no", 0o600), file("open", "x", 0o644)
	for name, test := range map[string]struct {
		args []string
		code cli.Code
		want string
	}{
		"no file":            {[]string{"backup"}, cli.Usage, "supernode backup FILE"},
		"nothing to restore": {[]string{"restore"}, cli.Usage, "supernode restore FILE"},
		"two files":          {[]string{"restore", newer, damaged}, cli.Usage, "[E24]"},
		"nobody":             {[]string{"backup", filepath.Join(dir, "f")}, cli.Failure, "no supernode runs here, and "},
		"nobody there":       {[]string{"backup", filepath.Join(dir, "f"), "--control", dir + "/none"}, cli.Failure, "no supernode is running at "},
		"newer":              {[]string{"restore", newer}, cli.Failure, "a newer supernode has written it: this program reads version 1. Update it; nothing was changed."},
		"damaged":            {[]string{"restore", damaged}, cli.Failure, "it is damaged, or no backup of a supernode. Nothing was changed."},
		"missing":            {[]string{"restore", filepath.Join(dir, "none")}, cli.Failure, "Name the file"},
		"a directory":        {[]string{"restore", dir}, cli.Failure, "is no file"},
		"open passphrase":    {[]string{"restore", newer, "--passphrase-file", open}, cli.Usage, "--passphrase-file: "},
	} {
		t.Run(name, func(t *testing.T) {
			out, errs, code := typed(t, dir, test.args...)
			if code != test.code || out != "" || !strings.Contains(errs, test.want) {
				t.Errorf("%d: %s%s", code, out, errs)
			}
			if _, err := os.Stat(filepath.Join(dir, "state", "id")); !os.IsNotExist(err) {
				t.Error("there is a state now")
			}
		})
	}
}

// documented returns the commands of a chapter of docs/supernode.md.
func documented(t *testing.T, chapter string) (lines [][]string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "supernode.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(b), "\n## "+chapter+"\n")
	text, _, _ = strings.Cut(text, "\n## ")
	for line := range strings.SplitSeq(text, "\n") {
		if command, ok := strings.CutPrefix(line, "    "+program+" "); ok {
			lines = append(lines, strings.Fields(command))
		}
	}
	return lines
}

// The commands of the documents about backups, in their order: the last on another host.
func TestDocumentedBackup(t *testing.T) {
	commands := documented(t, "Backup, and moving house")
	if len(commands) != 5 || commands[2][0] != "restore" || commands[4][0] != "move" {
		t.Fatalf("%q", commands)
	}
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.WriteFile("backup.pass", []byte("a passphrase\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	for i, args := range commands {
		at := dir
		if i == 2 {
			at = filepath.Join(dir, "other")
		}
		if out, errs, code := typed(t, at, args...); code != cli.OK {
			t.Errorf("%q: %d: %s%s", args, code, out, errs)
		}
	}
	if same, errs, code := typed(t, filepath.Join(dir, "other"), "id"); code != cli.OK || strings.TrimSpace(same) != status(t, dir).Key {
		t.Errorf("%s%s", same, errs)
	}
}

// Where a supernode moves is said by the command and by status, and kept over a restart.
func TestMove(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	port := status(t, dir).Listen.Port()
	if out, errs, code := typed(t, dir, "move", "new.example"); code != cli.OK || !strings.Contains(out, fmt.Sprintf("is at new.example:%d, where", port)) {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	stop()
	_, stop = serve(t, dir, "-p", "0")
	defer stop()
	if out, _, _ := typed(t, dir, "status"); !strings.Contains(out, fmt.Sprintf("to new.example:%d: 0 of the 0 edges here know it", port)) {
		t.Errorf("status: %s", out)
	}
	for _, args := range [][]string{{"move"}, {"move", "a", "--stop"}, {"move", "a:0"}, {"move", "http://a"}, {"move", "a", "b"}} {
		if out, errs, code := typed(t, dir, args...); code != cli.Usage || out != "" {
			t.Errorf("%q: %d: %s%s", args, code, out, errs)
		}
	}
	var done admin.Moved
	if out, errs, code := typed(t, dir, "move", "--stop", "--json"); code != cli.OK || json.Unmarshal([]byte(out), &done) != nil || done.Redirect != nil {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if to := status(t, dir).Totals.Redirect; to != nil {
		t.Errorf("status says %+v", to)
	}
}
