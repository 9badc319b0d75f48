package integration

import (
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// operate gives a command about who may register, and returns what it says.
func (w *town) operate(words ...string) string {
	w.t.Helper()
	out, err := exec.CommandContext(w.ctx, programs.Supernode, append(words, "--control", w.super.Socket)...).CombinedOutput()
	if err != nil {
		w.t.Fatalf("supernode %q: %v: %s", words, err, out)
	}
	return string(out)
}

// The operator kicks an edge, bans it, and serves another community no more. The edges
// concerned say so, and are in again when they may be; of what is relayed between two others
// meanwhile nothing is lost.
func TestAdmission(t *testing.T) {
	w := newTown(t, 60*time.Second)
	hosts := []*lab.Host{lab.Must(w.Host("left", "203.0.113.11")), lab.Must(w.Host("right", "203.0.113.12")), lab.Must(w.Host("third", "203.0.113.13"))}
	blockDirect(t, w, hosts[0], hosts[1])
	left, right, third := w.join(hosts[0], overIPv4), w.join(hosts[1], overIPv4), w.join(hosts[2], overIPv4)
	left.meet(right.addr(), 5*time.Second)
	third.meet(left.addr(), 5*time.Second)

	const count, rate = 20_000, 1000
	relayed := newFlow(left, right, 9000, count)
	var flow sync.WaitGroup
	flow.Go(func() { relayed.send(count, rate) })
	begun := time.Now()
	id := left.reach(third, control.PathDirect).ID
	if got := w.operate("kick", "edge", id); !strings.HasSuffix(got, "registrations ended: 1\n") {
		t.Errorf("kick: %q", got)
	}
	w.await(third.Program, "[E23]")
	w.operate("ban", "edge", id, "label", "lost laptop")
	out, err := exec.CommandContext(w.ctx, programs.Edge, "health", "--control", third.Socket).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "removed from "+overIPv4+" by its operator on ") {
		t.Errorf("health of the edge: %v: %s", err, out)
	}
	w.operate("deny", "community", "village")
	village := lab.Must(w.Rig.Edge(w.ctx, hosts[2], "village", "-d", "village", "-c", "village", "-k", "correct horse battery staple", "-l", overIPv4))
	w.watch(village)
	w.await(village, `does not serve community "village"`)

	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	w.again(third)
	w.await(third.Program, "[E23]")
	if err := third.Stop(); err != nil {
		t.Fatal(err)
	}
	w.operate("unban", "edge", id)
	if got := w.operate("rules"); got != "mode open\ndeny community village\n" {
		t.Errorf("rules: %q", got)
	}
	w.again(third)
	third.meet(left.addr(), 5*time.Second)
	time.Sleep(time.Until(begun.Add(2 * time.Second))) // all that may have taken less
	close(relayed.halt)
	flow.Wait()
	relayed.wantAll(t, "left to right")
	if relayed.sent < 1000 {
		t.Errorf("only %d datagrams were sent meanwhile", relayed.sent)
	}
}
