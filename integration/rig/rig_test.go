//go:build linux

package rig

import (
	"context"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

func TestTwoHomesMeet(t *testing.T) {
	l := lab.ForTest(t)
	ctx, cancel := context.WithTimeout(context.Background(), 60*time.Second)
	defer cancel()
	programs, err := Build(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	r := &Rig{Programs: programs, Dir: t.TempDir()}
	sn := lab.Must(l.Host("sn", "203.0.113.1"))
	a := lab.Must(lab.Must(l.Router("home-a", "198.51.100.1", lab.PortRestricted)).Host("a"))
	b := lab.Must(lab.Must(l.Router("home-b", "198.51.100.2", lab.PortRestricted)).Host("b"))
	super := lab.Must(r.Supernode(ctx, sn, "super"))
	args := []string{"-vv", "-c", "mynetwork", "-k", "encryptme", "-l", "203.0.113.1:7654"}
	left := lab.Must(r.Edge(ctx, a, "left", args...))
	right := lab.Must(r.Edge(ctx, b, "right", args...))
	lab.Must(r.AwaitAddress(ctx, left))
	address := lab.Must(r.AwaitAddress(ctx, right))
	began := time.Now()
	for {
		short, stop := context.WithTimeout(ctx, time.Second)
		rtt, err := a.Ping(short, address.Addr())
		stop()
		if err == nil {
			t.Logf("first ping answered %v after both had addresses, rtt %v", time.Since(began), rtt)
			break
		}
		if ctx.Err() != nil {
			t.Fatalf("no ping: %v\n%s\n%s\n%s", err, left.Log(), right.Log(), super.Log())
		}
	}
	peer, err := r.AwaitPath(ctx, left, "right", control.PathDirect)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("direct to %s after %v", peer.Endpoint, time.Since(began))
	if err := left.Stop(); err != nil {
		t.Errorf("left: %v\n%s", err, left.Log())
	}
	if err := right.Stop(); err != nil {
		t.Errorf("right: %v\n%s", err, right.Log())
	}
	if err := super.Stop(); err != nil {
		t.Errorf("supernode: %v\n%s", err, super.Log())
	}
	t.Logf("left:\n%s\nsuper:\n%s", left.Log(), super.Log())
}

// Who waits for a program's end has all that it has said.
func TestLastWords(t *testing.T) {
	l := lab.ForTest(t)
	r := &Rig{Dir: t.TempDir()}
	h := lab.Must(l.Host("h"))
	for range 20 {
		p := lab.Must(r.Run(t.Context(), h, "talker", "", "sh", "-c", "seq 3000; echo last"))
		if _, err := p.Wait(); err != nil {
			t.Fatal(err)
		}
		if said := p.Log(); !strings.HasSuffix(said, "3000\nlast\n") {
			t.Fatalf("%d bytes were said, without the last words", len(said))
		}
	}
}
