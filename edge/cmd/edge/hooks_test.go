//go:build unix

package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// script writes a program that sh runs and returns its path.
func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// lines returns the lines of a file once there are as many.
func lines(t *testing.T, path string, n int) []string {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		b, _ := os.ReadFile(path)
		if list := slices.Collect(strings.Lines(string(b))); len(list) >= n {
			return list
		}
		if time.Now().After(deadline) {
			t.Fatalf("%q after a long time", b)
		}
	}
}

// running runs hooks until the test ends.
func running(t *testing.T, choice hookChoice, log *bytes.Buffer) *hooks {
	t.Helper()
	l, err := cli.NewLog(log, cli.LogChoice{})
	if err != nil {
		t.Fatal(err)
	}
	h := newHooks(choice, l)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		h.run(ctx)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return h
}

// A hook has the state of the link in its environment and no key; --on-up and --on-down
// run when the carrier changes, --on-path-change each time, and one behind the other.
func TestHooks(t *testing.T) {
	t.Setenv("EDGE_KEY", "secret")
	out := filepath.Join(t.TempDir(), "out")
	path := script(t, `echo "$1 $HEDGEROW_PEER $HEDGEROW_ID $HEDGEROW_DEVICE $HEDGEROW_STATE $HEDGEROW_PATH $HEDGEROW_RTT_MS $HEDGEROW_LOSS $HEDGEROW_COST key=$EDGE_KEY" >>`+out)
	h := running(t, hookChoice{Up: []string{path, "up"}, Down: []string{path, "down"}, Path: []string{path, "path"}}, new(bytes.Buffer))
	p := control.Peer{Name: "ro\x00of\n", ID: "9f3a-71c2-e0b4", Loss: ms(0.05)}
	link := func(up bool, cost int) *control.Link { return &control.Link{Device: "mesh0", Carrier: up, Cost: cost} }
	p.Link = link(true, 120)
	p.PathStatus = control.PathStatus{Path: control.PathDirect, RTTms: ms(12.34)}
	h.changed(p)
	lines(t, out, 2)
	p.Link = link(true, 200)
	h.changed(p)
	lines(t, out, 3)
	p.Link, p.Path, p.RTTms, p.Loss = link(false, 0), control.PathNone, nil, nil
	h.changed(p)
	got := lines(t, out, 5)
	want := []string{
		"up ro\ufffdof\ufffd 9f3a-71c2-e0b4 mesh0 up direct 12.3 0.05 120 key=\n",
		"path ro\ufffdof\ufffd 9f3a-71c2-e0b4 mesh0 up direct 12.3 0.05 120 key=\n",
		"path ro\ufffdof\ufffd 9f3a-71c2-e0b4 mesh0 up direct 12.3 0.05 200 key=\n",
		"down ro\ufffdof\ufffd 9f3a-71c2-e0b4 mesh0 down none   0 key=\n",
		"path ro\ufffdof\ufffd 9f3a-71c2-e0b4 mesh0 down none   0 key=\n",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// While a hook runs, a newer state of a link takes the place of the one that waits.
func TestHooksKeepTheLatest(t *testing.T) {
	dir := t.TempDir()
	out, gate := filepath.Join(dir, "out"), filepath.Join(dir, "gate")
	path := script(t, `echo $HEDGEROW_ID $HEDGEROW_COST >>`+out+`; while [ ! -e `+gate+` ]; do sleep 0.01; done`)
	h := running(t, hookChoice{Path: []string{path}}, new(bytes.Buffer))
	h.changed(control.Peer{ID: "first", Link: &control.Link{Carrier: true, Cost: 1}})
	lines(t, out, 1)
	for cost := range 1000 {
		h.changed(control.Peer{ID: "first", Link: &control.Link{Carrier: true, Cost: cost}})
		h.changed(control.Peer{ID: "second", Link: &control.Link{Carrier: true, Cost: cost}})
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	got := lines(t, out, 3)
	if want := []string{"first 1\n", "first 999\n", "second 999\n"}; !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
	if len(h.waiting) != 0 || len(h.order) != 0 {
		t.Errorf("%d wait", len(h.waiting))
	}
}

// A hook that fails is named with what it said, and the next one runs.
func TestHooksFail(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	var log bytes.Buffer
	path := script(t, `echo $HEDGEROW_ID >>`+out+`; head -c 100000 /dev/zero | tr '\0' x; exit 3`)
	h := newHooks(hookChoice{}, nil)
	l, _ := cli.NewLog(&log, cli.LogChoice{})
	h.log = l
	for _, argv := range [][]string{{path}, {filepath.Join(t.TempDir(), "absent")}} {
		h.call(t.Context(), "--on-up", argv, control.Peer{ID: "x", Link: &control.Link{Device: "mesh0"}})
	}
	text := log.String()
	for _, want := range []string{"a hook failed", "--on-up", "exit status 3", "mesh0", strings.Repeat("x", hookOutput), "no such file"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not said in %.300s", want, text)
		}
	}
	if strings.Contains(text, strings.Repeat("x", hookOutput+1)) {
		t.Error("too much is said")
	}
}

// The commands of hooks are checked.
func TestHookOptions(t *testing.T) {
	const short = "-c mynetwork -k encryptme -l a.b.c.d:7654 "
	o, errs, _ := parse(t, nil, append(strings.Fields(short+"--p2p auto:m%d --on-up"), "/bin/x  a b", "--on-path-change", "/bin/y")...)
	if errs != "" || fmt.Sprint(o.Links.Hooks) != "{[/bin/x a b] [] [/bin/y]}" {
		t.Errorf("%v, %s", o.Links.Hooks, errs)
	}
	_, errs, code := parse(t, nil, append(strings.Fields(short+"--on-down /bin/x --on-up"), " ")...)
	for _, want := range []string{"--on-down is about links, and there is none: give --p2p PEER=DEVICE, too", "--on-up was given nothing"} {
		if code != cli.Usage || !strings.Contains(errs, want) {
			t.Errorf("%d, %q does not say %q", code, errs, want)
		}
	}
}
