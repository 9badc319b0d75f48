package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
)

// A supernode has another key, beside the one before, over a restart and in a backup, until
// that one is ended. What is typed wrong, or too early, is said with what to type.
func TestRotateKey(t *testing.T) {
	dir := t.TempDir()
	if _, errs, code := typed(t, dir, "rotate-key"); code != cli.Failure || !strings.Contains(errs, "supernode") {
		t.Errorf("where none runs: %d: %s", code, errs)
	}
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	before := status(t, dir).Key
	for _, args := range [][]string{{"rotate-key", "--force"}, {"rotate-key", "--status", "--end"}, {"rotate-key", "now"}} {
		if out, errs, code := typed(t, dir, args...); code != cli.Usage || out != "" {
			t.Errorf("%q: %d: %s%s", args, code, out, errs)
		}
	}
	if out, errs, code := typed(t, dir, "rotate-key", "--end"); code != cli.Failure || !strings.Contains(errs, "'supernode rotate-key' makes a new one") {
		t.Errorf("ended before: %d: %s%s", code, out, errs)
	}
	if out, _, code := typed(t, dir, "rotate-key", "--status"); code != cli.OK || !strings.HasPrefix(out, "One key answers") {
		t.Errorf("before: %d: %s", code, out)
	}
	out, errs, code := typed(t, dir, "rotate-key")
	after := status(t, dir).Key
	if code != cli.OK || after == before || !strings.Contains(out, after) || !strings.Contains(out, before) {
		t.Fatalf("%d: %s%s", code, out, errs)
	}
	if out, errs, code := typed(t, dir, "rotate-key"); code != cli.Failure || !strings.Contains(errs, "rotate-key --end") {
		t.Errorf("once more: %d: %s%s", code, out, errs)
	}
	stop()
	_, stop = serve(t, dir, "-p", "0")
	defer stop()
	if out, _, _ := typed(t, dir, "status"); !strings.Contains(out, before+": 0 of the 0 edges here use it") {
		t.Errorf("status: %s", out)
	}
	if out, _, code := typed(t, dir, "rotate-key", "--status"); code != cli.OK || !strings.Contains(out, before+": 0 of 0 edges here") || !strings.Contains(out, after) {
		t.Errorf("%d: %s", code, out)
	}
	file, other := filepath.Join(t.TempDir(), "copy"), filepath.Join(t.TempDir(), "other")
	for _, at := range [][]string{{dir, "backup", file}, {other, "restore", file}} {
		if out, errs, code := typed(t, at[0], at[1:]...); code != cli.OK {
			t.Errorf("%q: %d: %s%s", at, code, out, errs)
		}
	}
	had, err := os.ReadFile(filepath.Join(dir, "state", supernode.RotationFile))
	if got, e := os.ReadFile(filepath.Join(other, "state", supernode.RotationFile)); err != nil || e != nil || string(got) != string(had) {
		t.Errorf("a backup has %x, want %x", got, had)
	}
	var done admin.Rotated
	if out, errs, code := typed(t, dir, "rotate-key", "--end", "--json"); code != cli.OK || json.Unmarshal([]byte(out), &done) != nil || done.Rotation != nil {
		t.Errorf("%d: %s%s", code, out, errs)
	}
	if st := status(t, dir); st.Key != after || st.Totals.Rotation != nil {
		t.Errorf("ended: %s, %+v", st.Key, st.Totals.Rotation)
	}
}

// The commands of the documents about a new key, in their order.
func TestDocumentedRotation(t *testing.T) {
	commands := documented(t, "A new key")
	if len(commands) != 3 || commands[0][0] != "rotate-key" {
		t.Fatalf("%q", commands)
	}
	dir := t.TempDir()
	_, stop := serve(t, dir, "-p", "0")
	defer stop()
	for _, args := range commands {
		if out, errs, code := typed(t, dir, args...); code != cli.OK {
			t.Errorf("%q: %d: %s%s", args, code, out, errs)
		}
	}
}
