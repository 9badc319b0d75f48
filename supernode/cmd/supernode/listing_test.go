package main

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/supernode/admin"
)

// listed is a supernode with three communities. What is relayed for its edges grows, and
// the third time that somebody asks for them the user interrupts.
type listed struct {
	admin.Source
	mu   sync.Mutex
	n    uint64
	stop context.CancelFunc
}

var listedIDs = []string{"0a" + strings.Repeat("0", 30), "0b" + strings.Repeat("0", 30), "0b" + strings.Repeat("1", 30)}

func (l *listed) Communities(int) admin.Communities {
	doc := admin.Communities{}
	for i, id := range listedIDs {
		doc.Communities = append(doc.Communities, admin.CommunityStatus{ID: id, Edges: 3 - i})
	}
	doc.Communities[1].Label = "roofs"
	return doc
}

func (l *listed) Edges(community [16]byte, _ int) admin.Edges {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.n++; l.n == 3 && l.stop != nil {
		l.stop()
	}
	return admin.Edges{UptimeS: float64(l.n), Edges: []admin.Edge{{
		Community: listedIDs[max(0, int(community[0])-10)], ID: "9f3a-71c2-e0b4", Identity: "9f3a", Relayed: admin.Traffic{Bytes: 2000 * (l.n / 2)},
		Underlay: admin.Underlay{Transport: admin.TransportUDP},
	}}}
}

// serveListed serves it until the test ends.
func serveListed(t *testing.T, l *listed) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "a.sock")
	socket, err := localapi.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- localapi.ServeListener(ctx, socket, admin.Handler(l, nil)) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return path
}

func TestListings(t *testing.T) {
	path := serveListed(t, &listed{})
	for _, test := range []struct {
		args, want, not string
		code            cli.Code
	}{
		{args: "communities", want: "0a0000000000  -      3", not: "unexpected"},
		{args: "communities 0a", want: "0a0000000000", not: "roofs"},
		{args: "communities roofs --json", want: `"label": "roofs"`, not: listedIDs[0]},
		{args: "communities 0b", want: `the ids of 2 communities begin with "0b": type more of it.`, code: cli.Failure},
		{args: "communities mynetwork", want: `no community here is called "mynetwork"`, code: cli.Failure},
		{args: "edges", want: "0a0000000000  9f3a-71c2-e0b4  -   udp"},
		{args: "edges 0B0", want: "0b0000000000  9f3a-71c2-e0b4"},
		{args: "edges 0A --json", want: `"id": "9f3a-71c2-e0b4"`},
		{args: "edges --json " + listedIDs[1], want: `"community": "0b00`},
		{args: "edges roofs", want: "0b0000000000  9f3a-71c2-e0b4"},
		{args: "edges a b", want: `unexpected argument "b"`, code: cli.Usage},
		{args: "edges none", want: "no community here", code: cli.Failure},
	} {
		term := newTerminal(t.TempDir())
		code := term.run(t.Context(), append(strings.Fields(test.args), "--control", path)...)
		if out := term.out.String() + term.err.String(); code != test.code || !strings.Contains(out, test.want) || test.not != "" && strings.Contains(out, test.not) {
			t.Errorf("%s: %d, %s", test.args, code, out)
		}
	}
	for _, args := range []string{"edges", "communities", "edges roofs"} {
		term := newTerminal(t.TempDir())
		if code := term.run(t.Context(), append(strings.Fields(args), "--control", path+"x")...); code != cli.Failure || !strings.Contains(term.err.String(), "no supernode is running at") {
			t.Errorf("%s without one: %d, %s", args, code, term.err.String())
		}
	}
}

// "supernode edges --watch" shows what there is and then what is relayed, until it is
// interrupted.
func TestWatchEdges(t *testing.T) {
	for args, want := range map[string]string{
		"":       "+ 0a0000000000  9f3a-71c2-e0b4  -  udp -\n> 0a0000000000  9f3a-71c2-e0b4  -  udp -  relayed 2.0k/s\n",
		"--json": `{"uptime_s":1,"edges":[{"community":"0a0000`,
	} {
		ctx, stop := context.WithCancel(t.Context())
		path := serveListed(t, &listed{stop: stop})
		term := newTerminal(t.TempDir())
		code := term.run(ctx, append(strings.Fields("edges --watch "+args), "--control", path)...)
		if out := term.out.String(); code != cli.OK || !strings.HasPrefix(out, want) {
			t.Errorf("%q: %d, %q, %s", args, code, out, term.err.String())
		}
	}
}
