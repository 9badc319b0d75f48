//go:build unix

package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The commands of docs/keys.md give the edge its keys, where vault and curl are programs
// that print the community file if they are asked as they can be asked.
func TestKeyDocs(t *testing.T) {
	text, err := os.ReadFile("../../../docs/keys.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	keys := writeFile(t, "mynetwork.keys", strings.Replace(communityText(t), "real", "mynetwork", 1), 0o600)
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	standIn(t, dir, "vault", `[ "$*" = "kv get -mount=secret -field=keys hedgerow/mynetwork" ]`, keys)
	standIn(t, dir, "curl", `[ "$1 $2 $3 $4 $5 $6 $7" = "--fail --silent --show-error --negotiate --user : https://keys.example/mynetwork.keys" ]`, keys)
	socket := filepath.Join(dir, "keys.sock")
	unit := regexp.MustCompile(`(?m)^    ExecStart=(.*)$`).FindSubmatch(text)
	if unit == nil {
		t.Fatal("no unit")
	}
	serveUnit(t, socket, strings.Fields(string(unit[1])))

	commands := regexp.MustCompile(`(?m)^    (?:KRB5_CLIENT_KTNAME=\S+ )?edge (-c mynetwork --key.*)$`).FindAllSubmatch(text, -1)
	done := 0
	for _, m := range commands {
		args := shellWords(string(m[1]))
		for i := range args {
			args[i] = strings.Replace(args[i], "/run/hedgerow-keys.sock", socket, 1)
		}
		if strings.Contains(string(m[1]), "COMMAND") || strings.Contains(string(m[1]), "PATH") {
			continue
		}
		o, errs, code := parse(t, nil, args...)
		if code != 0 {
			t.Fatal(errs)
		}
		got, err := o.Community.Key.load(t.Context(), o.Community.Name, strings.NewReader(""))
		if err != nil || got.Name != "mynetwork" {
			t.Errorf("%s: %v", m[1], err)
		}
		done++
	}
	if done != 3 {
		t.Errorf("%d of %d commands gave keys, want 3", done, len(commands))
	}
}

// standIn writes a program that prints a file if it is called as a test of the shell wants.
func standIn(t *testing.T, dir, name, test, file string) {
	t.Helper()
	script := "#!/bin/sh\nif " + test + "; then exec cat '" + file + "'; fi\necho \"called with $*\" >&2\nexit 2\n"
	if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
}

// serveUnit runs a program for each connection, which is its standard input and output, as
// systemd does with Accept=yes.
func serveUnit(t *testing.T, path string, argv []string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			c, err := l.AcceptUnix()
			if err != nil {
				return
			}
			f, err := c.File()
			c.Close()
			if err != nil {
				return
			}
			p := exec.Command(argv[0], argv[1:]...)
			p.Stdin, p.Stdout = f, f
			_ = p.Run()
			f.Close()
		}
	}()
}

// shellWords splits a line at blanks that are not in double quotes.
func shellWords(line string) (words []string) {
	for _, w := range regexp.MustCompile(`"[^"]*"|\S+`).FindAllString(line, -1) {
		words = append(words, strings.Trim(w, `"`))
	}
	return words
}
