package main

import (
	"strings"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/internal/password"
)

// A user is allowed by the hash that 'password' prints; neither answers nor the log show it.
func TestAllowUser(t *testing.T) {
	dir := t.TempDir()
	server, stop := serve(t, dir, "-p", "0", "--mode", "closed")
	defer stop()
	term := newTerminal(dir)
	term.cmd.streams.In = strings.NewReader("correct horse\n")
	if code := term.run(t.Context(), "password"); code != cli.OK {
		t.Fatal(term.err.String())
	}
	hash := strings.TrimSpace(term.out.String())
	if !password.Check(hash, "correct horse") {
		t.Fatalf("%q", hash)
	}
	out, errs, code := typed(t, dir, "allow", "user", "ana", hash, "label", "Ana of the", "roof")
	if code != cli.OK || !strings.HasPrefix(out, `allow user ana label "Ana of the roof"; `) {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if shown := ask(t, dir, cli.OK, "rules"); !strings.Contains(shown, "allow user ana label") {
		t.Error(shown)
	}
	stop()
	again, stop := serve(t, dir, "-p", "0")
	defer stop()
	if shown := ask(t, dir, cli.OK, "rules"); !strings.Contains(shown, "allow user ana label") {
		t.Errorf("after a restart: %s", shown)
	}
	if out, errs, code = typed(t, dir, "deny", "user", "ana"); code != cli.OK || strings.Contains(ask(t, dir, cli.OK, "rules"), "ana") {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	for _, log := range []string{server.err.String(), again.err.String()} {
		if strings.Contains(log, hash) {
			t.Errorf("the log shows the hash: %s", log)
		}
	}
	for _, c := range []struct{ words, want string }{
		{"allow user ana", "supernode password"}, {"allow user ana secret", "supernode password"}, {"ban user ana", "nearest"},
		{"deny user ana " + hash, "neither since"},
	} {
		if _, errs, code := typed(t, dir, strings.Fields(c.words)...); code != cli.Usage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d: %s", c.words, code, errs)
		}
	}
	for in, want := range map[string]string{"": "no password", "\n": "0 bytes", strings.Repeat("x", 129): "129 bytes", "a\nb\n": "no password"} {
		term := newTerminal(dir)
		term.cmd.streams.In = strings.NewReader(in)
		if code := term.run(t.Context(), "password"); code != cli.Usage {
			t.Errorf("%q: %d, want %q: %s", in, code, want, term.err.String())
		}
	}
}
