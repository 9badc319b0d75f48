package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hedgerow/internal/cli"
)

// TestUpgradeFails asks for upgrades that cannot be, by the command. The supernode says why,
// and serves on.
func TestUpgradeFails(t *testing.T) {
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0", "--tls-listen", "off")
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("no program"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ binary, says string }{
		{text, text + " cannot be started: exec format error. The running supernode serves on as before"},
		{filepath.Join(dir, "missing"), "missing cannot be started: no such file or directory. The running"},
		{"/bin/false", "/bin/false ended before it was ready (exit status 1). The running"},
	} {
		ask := newTerminal(dir)
		if code := ask.run(t.Context(), "upgrade", "--binary", c.binary); code != cli.Failure || !strings.Contains(ask.err.String(), c.says) {
			t.Errorf("%s: %d, %s", c.binary, code, ask.err.String())
		}
	}
	if ask := newTerminal(dir); ask.run(t.Context(), "health") != cli.OK {
		t.Errorf("health: %s%s", ask.out.String(), ask.err.String())
	}
	if ask := newTerminal(dir); ask.run(t.Context(), "ban", "192.0.2.0/24") != cli.OK {
		t.Errorf("after the upgrades nothing can be changed: %s", ask.err.String())
	}
	stop()
	if ask := newTerminal(dir); ask.run(t.Context(), "upgrade") != cli.Failure || !strings.Contains(ask.err.String(), "no supernode runs here") {
		t.Errorf("nobody is there: %s", ask.err.String())
	}
}

// TestHandoverVariable starts a supernode as if another one handed over to it.
func TestHandoverVariable(t *testing.T) {
	term := newTerminal(t.TempDir())
	term.env[handoverVariable] = strings.Repeat("udp,", 100)
	if code := term.run(t.Context(), "-p", "0"); code != cli.Usage || !strings.Contains(term.err.String(), "SUPERNODE_HANDOVER is set, and no process hands over to this one") {
		t.Errorf("%d, %s", code, term.err.String())
	}
}
