package integration

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
	"hedgerow/internal/upgrade"
)

// upgrade runs the command "upgrade" of a program and returns what it said.
func (w *town) upgrade(binary string, p *rig.Program, more ...string) (done upgrade.Done, said string, err error) {
	w.t.Helper()
	out, err := exec.CommandContext(w.ctx, binary, append([]string{"upgrade", "--json", "--control", p.Socket}, more...)...).CombinedOutput()
	if err == nil {
		err = json.Unmarshal(out, &done)
	}
	return done, string(out), err
}

// program writes an executable file.
func (w *town) program(name, text string) (path string) {
	w.t.Helper()
	path = filepath.Join(w.Dir, name)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// The supernode is replaced again and again while it relays, and by programs that cannot
// replace it in between: none of the numbered frames is lost or comes twice, in either
// direction, and the edges keep their sessions. With -whole it is 1 000 000 frames over 20
// upgrades, and a program that says nothing for 5 s is among the others.
func TestUpgrade(t *testing.T) {
	count, rate, upgrades, limit := 5000, 2000, 3, 60*time.Second
	failures := []struct{ name, text, says string }{
		{"exits", "#!/bin/sh\nexit 3\n", "ended before it was ready (exit status 3)"},
		{"none", "no program\n", "cannot be started: exec format error"},
	}
	if *whole {
		count, rate, upgrades, limit = 1_000_000, 4000, 20, 10*time.Minute
		failures = append(failures, struct{ name, text, says string }{"hangs", "#!/bin/sh\nexec sleep 60\n", "has said nothing for 5s before it was ready"})
	}
	w := newTown(t, limit)
	left, right := w.pair(lab.SymmetricRandom)
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, control.PathRelay)
	before := w.leases(left, right)

	there, back := newFlow(left, right, 9000, count), newFlow(right, left, 9001, count/4)
	var flows sync.WaitGroup
	flows.Go(func() { there.send(count, rate) })
	flows.Go(func() { back.send(count/4, rate/4) })
	pids := map[int]bool{w.super.Pid(): true}
	pause := time.Duration(count) * time.Second / time.Duration(rate*(upgrades+2))
	var longest float64
	for i := range upgrades {
		time.Sleep(pause)
		done, said, err := w.upgrade(w.Programs.Supernode, w.super)
		if err != nil || pids[done.Pid] || done.Edges != 2 {
			t.Fatalf("upgrade %d: %v, %s", i, err, said)
		}
		pids[done.Pid] = true
		longest = max(longest, done.PauseS)
		bad := failures[i%len(failures)]
		if _, said, err := w.upgrade(w.Programs.Supernode, w.super, "--binary", w.program(bad.name, bad.text)); err == nil || !strings.Contains(said, bad.says) || !strings.Contains(said, "serves on as before") {
			t.Errorf("upgrade to a program that %s: %v, %s", bad.name, err, said)
		}
	}
	flows.Wait()
	there.wantAll(t, "left to right")
	back.wantAll(t, "right to left")
	t.Logf("%d upgrades, %d programs that were none, longest pause %.1f ms", upgrades, upgrades, longest*1000)
	before.same(t, w.leases(left, right))
	w.registered(2)
	for _, m := range []*member{left, right} {
		if log := m.Log(); strings.Contains(log, "supernode lost") || strings.Contains(log, "restarted") {
			t.Errorf("%s has noticed:\n%s", m.Name, log)
		}
	}
	last, err := os.ReadFile(filepath.Join(w.Dir, w.super.Name, "lock"))
	var pid int
	if _, scanned := fmt.Sscan(string(last), &pid); err != nil || scanned != nil || !pids[pid] || pid == w.super.Pid() {
		t.Errorf("the lock names %q, %v", last, err)
	}
}

// An edge is replaced again and again while frames go to it and come from it, directly and by
// a supernode, and by programs that cannot replace it in between: none of the numbered frames
// is lost or comes twice, in either direction, and the other edge keeps its session. With
// -whole it is 500 000 frames over 20 upgrades on each kind of path, and a program that says
// nothing for 5 s is among the others.
func TestEdgeUpgrade(t *testing.T) {
	t.Run("direct", func(t *testing.T) { edgeUpgrade(t, lab.PortRestricted, control.PathDirect) })
	t.Run("relay", func(t *testing.T) { edgeUpgrade(t, lab.SymmetricRandom, control.PathRelay) })
}

func edgeUpgrade(t *testing.T, kind lab.Kind, path control.Path) {
	count, rate, upgrades, limit := 2000, 2000, 2, 60*time.Second
	failures := []struct{ name, text, says string }{
		{"exits", "#!/bin/sh\nexit 3\n", "ended before it was ready (exit status 3)"},
		{"none", "no program\n", "cannot be started: exec format error"},
	}
	if *whole {
		count, rate, upgrades, limit = 500_000, 4000, 20, 10*time.Minute
		failures = append(failures, struct{ name, text, says string }{"hangs", "#!/bin/sh\nexec sleep 60\n", "has said nothing for 5s before it was ready"})
	}
	w := newTown(t, limit)
	left, right := w.pair(kind)
	left.meet(right.addr(), 2*time.Second)
	left.reach(right, path)
	addresses := []netip.Addr{left.addr(), left.addr6()}

	there, back := newFlow(left, right, 9000, count), newFlow(right, left, 9001, count)
	var flows sync.WaitGroup
	flows.Go(func() { there.send(count, rate) })
	flows.Go(func() { back.send(count, rate) })
	pids := map[int]bool{left.Pid(): true}
	pause := time.Duration(count) * time.Second / time.Duration(rate*(upgrades+2))
	var longest float64
	for i := range upgrades {
		time.Sleep(pause)
		done, said, err := w.upgrade(w.Programs.Edge, left.Program)
		if err != nil || pids[done.Pid] || done.Edges != 1 {
			t.Fatalf("upgrade %d: %v, %s", i, err, said)
		}
		pids[done.Pid] = true
		longest = max(longest, done.PauseS)
		bad := failures[i%len(failures)]
		if _, said, err := w.upgrade(w.Programs.Edge, left.Program, "--binary", w.program(bad.name, bad.text)); err == nil || !strings.Contains(said, bad.says) || !strings.Contains(said, "serves on as before") {
			t.Errorf("upgrade to a program that %s: %v, %s", bad.name, err, said)
		}
	}
	flows.Wait()
	there.wantAll(t, "left to right")
	back.wantAll(t, "right to left")
	t.Logf("%d upgrades, %d programs that were none, longest pause %.1f ms", upgrades, upgrades, longest*1000)
	left.reach(right, path)
	if got := []netip.Addr{left.addr(), left.addr6()}; !slices.Equal(got, addresses) {
		t.Errorf("the addresses were %v and are %v", addresses, got)
	}
	if log := right.Log(); strings.Contains(log, "restarted") || strings.Contains(log, "gone") || strings.Count(log, "path left") != 1 {
		t.Errorf("the other edge has noticed:\n%s", log)
	}
}
