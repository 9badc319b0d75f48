package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/supernode"
	"hedgerow/supernode/quota"
)

func TestLimits(t *testing.T) {
	for text, want := range map[string]supernode.Limits{
		"":                                   {},
		"edges=500":                          {Edges: 500},
		"community-edges=50, edge-bytes=2M,": {CommunityEdges: 50, EdgeBytes: 2e6},
		"source-edges=20k,inits=1":           {SourceEdges: 20000, InitRate: 1},
		"community-bytes=1G":                 {CommunityBytes: 1e9},
		"line-month=2TB,edge-month=500GB":    {Month: quota.Limits{All: 2e12, Edge: 500e9}},
		"community-month=1T,source-month=5M": {Month: quota.Limits{Community: 1e12, Source: 5e6}},
	} {
		term := newTerminal(t.TempDir())
		term.env["SUPERNODE_LIMIT"] = text
		var got supernode.Limits
		app := term.cmd.app()
		app.Action = func(c *ucli.Context) error {
			var faults cli.Faults
			got = term.cmd.parseLimits(c, &faults)
			return faults.Err()
		}
		if code := cli.Run(t.Context(), app, []string{program}, term.cmd.streams); code != cli.OK || got != want {
			t.Errorf("%q: %+v, %s", text, got, term.err.String())
		}
	}
	for text, want := range map[string]string{
		"edge=5": `the nearest one is "edges"`, "edges": "no whole number from 1 to 1000T", "edges=0": "no whole number from 1 to 1000T", "edges=-1": "no whole number from 1 to 1000T",
		"edges=1P": "no whole number from 1 to 1000T", "line-month=5B": "no whole number from 1 to 1000T", "line-month=1TBB": "no whole number from 1 to 1000T", "line-month=1.5T": "no whole number from 1 to 1000T", "line-month=1001T": "no whole number from 1 to 1000T", "line-month=1e30": "no whole number from 1 to 1000T", "edges=20M": "is the most", "edge-bytes=99999999G": "no whole number from 1 to 1000T",
	} {
		term := newTerminal(t.TempDir())
		if code := term.run(t.Context(), "-p", "0", "--limit", text); code != cli.Usage || !strings.Contains(term.err.String(), want) {
			t.Errorf("%q: exit code %d, %s", text, code, term.err.String())
		}
	}
}

// Each limit that a supernode has is one that --limit sets, and is in the document.
func TestEveryLimitHasAName(t *testing.T) {
	document, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "supernode.md"))
	if err != nil {
		t.Fatal(err)
	}
	set := make(map[any]bool)
	var l supernode.Limits
	for _, known := range limits {
		var field any
		switch {
		case known.count != nil:
			field = known.count(&l)
		case known.rate != nil:
			field = known.rate(&l)
		default:
			field = known.month(&l)
		}
		if set[field] {
			t.Errorf("%s sets what another one sets", known.name)
		}
		set[field] = true
		if row := "| `" + known.name + "` | " + known.what + " |"; !strings.Contains(string(document), row) {
			t.Errorf("docs/supernode.md has no row %q", row)
		}
	}
	// The limits of the month are together in one field.
	if n := reflect.TypeOf(l).NumField() - 1 + reflect.TypeOf(l.Month).NumField(); len(set) != n {
		t.Errorf("--limit sets %d of %d limits", len(set), n)
	}
}
