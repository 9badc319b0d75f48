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
