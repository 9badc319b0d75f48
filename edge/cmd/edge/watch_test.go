package main

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// changing is an edge whose database is another one each time that it is asked for; the
// third time the user interrupts.
type changing struct {
	shown
	mu   sync.Mutex
	n    int
	stop context.CancelFunc
}

func (c *changing) FDB(context.Context) (control.FDB, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n++
	if c.n == 3 {
		c.stop()
	}
	edge := []string{"roof", "library", "library"}[min(c.n, 3)-1]
	return control.FDB{Stations: []control.Station{{MAC: "52:54:00:00:00:01", Edge: edge}}}, nil
}

// "edge fdb --watch" shows what there is and then what changes, until it is interrupted.
func TestWatchFDB(t *testing.T) {
	for args, want := range map[string]string{
		"--watch":        "+ 52:54:00:00:00:01  vlan -  roof\n> 52:54:00:00:00:01  vlan -  roof > library\n",
		"--watch --json": `{"stations":[{"mac":"52:54:00:00:00:01","vlan":0,"edge":"roof",`,
	} {
		path := filepath.Join(t.TempDir(), "a.sock")
		ctx, stop := context.WithCancel(t.Context())
		serveAt(t, path, control.Handler(&changing{stop: stop}))
		cmd := testCommand(nil)
		code := cmd.run(ctx, append([]string{program, "fdb", "--control", path}, strings.Fields(args)...))
		if out := cmd.streams.Out.(*strings.Builder).String(); code != cli.OK || !strings.HasPrefix(out, want) {
			t.Errorf("%s: %d, %q, %s", args, code, out, cmd.streams.Err)
		}
	}
}

// "edge fdb --groups" shows which groups were joined behind which edge, and who gets all.
func TestFDBGroups(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.sock")
	serveAt(t, path, control.Handler(shown{}))
	for args, want := range map[string][]string{
		"--groups": {
			"239.1.2.3  -     here", "ff0e::9    10    evil\uFFFD[2J  1m", "all groups  go to harlem-roof, old\uFFFD[2J\n",
			"memberships 2 of 16384, at most 512 behind one   refused 1\n", "suppressed  2 frames",
		},
		"--groups --json": {`"group": "ff0e::9"`, `"age_s": 100`, `"all": [`},
	} {
		cmd := testCommand(nil)
		code := cmd.run(t.Context(), append([]string{program, "fdb", "--control", path}, strings.Fields(args)...))
		out := cmd.streams.Out.(*strings.Builder).String()
		for _, w := range want {
			if code != cli.OK || !strings.Contains(out, w) {
				t.Errorf("%s: %d, %q lacks %q; %s", args, code, out, w, cmd.streams.Err)
			}
		}
	}
	cmd := testCommand(nil)
	if code := cmd.run(t.Context(), []string{program, "fdb", "--control", path, "--groups", "--watch"}); code != cli.Usage || !strings.Contains(cmd.streams.Err.(*strings.Builder).String(), "without --watch") {
		t.Errorf("with --watch: %d, %s", code, cmd.streams.Err)
	}
}
