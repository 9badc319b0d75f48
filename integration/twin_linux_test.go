package integration

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// A machine is cloned and both run: the clone has the original's identity and machine id,
// and takes its place at the supernode. Both logs and both states say that another machine
// uses the identity and what to type; neither says that UDP looks blocked, and neither is
// healthy. After 'edge identity new' on the clone both are members.
func TestClonedMachine(t *testing.T) {
	t.Parallel()
	w := newTown(t, 120*time.Second)
	start := func(h *lab.Host, name, dir string) *member {
		p := lab.Must(w.Run(w.ctx, h, name, dir+".sock", programs.Edge, "--name", name, "--state-dir", dir, "--control", dir+".sock",
			"-c", "town", "-k", "correct horse battery staple", "-l", overIPv4))
		w.watch(p)
		return newMember(w, p)
	}
	dirs := []string{filepath.Join(w.Dir, "original"), filepath.Join(w.Dir, "clone")}
	original := start(lab.Must(w.Host("original", "203.0.113.11")), "original", dirs[0])
	original.addr()
	must(t, exec.Command("cp", "-r", dirs[0], dirs[1]).Run())
	second := lab.Must(w.Host("clone", "203.0.113.12"))
	clone := start(second, "clone", dirs[1])
	const says = "another machine uses the identity of this edge"
	for _, m := range []*member{original, clone} {
		w.await(m.Program, says)
		if notes := strings.Join(m.status().Notes, "\n"); !strings.Contains(notes, says) || !strings.Contains(notes, "edge identity new") {
			t.Errorf("%s: status says %q", m.Name, notes)
		}
		out, err := exec.Command(programs.Edge, "health", "--control", m.Socket).CombinedOutput()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), says) {
			t.Errorf("%s: edge health ended with %v: %s", m.Name, err, out)
		}
	}
	time.Sleep(5 * time.Second) // while the two displace each other
	for _, m := range []*member{original, clone} {
		if log := m.Log(); strings.Contains(log, "looks blocked") || strings.Contains(log, "statement is old") {
			t.Errorf("%s blames something else:\n%s", m.Name, log)
		}
	}
	must(t, clone.Stop())
	out, err := exec.Command(programs.Edge, "identity", "new", "-c", "town", "--state-dir", dirs[1]).CombinedOutput()
	if err != nil {
		t.Fatalf("edge identity new: %v: %s", err, out)
	}
	clone = start(second, "clone again", dirs[1])
	clone.addr()
	if a, b := original.status(), clone.status(); a.ID == b.ID {
		t.Errorf("both are %s", a.ID)
	}
	original.registeredSoon()
	original.meet(clone.addr(), answerWithin)
}

// registeredSoon waits until the member is registered.
func (m *member) registeredSoon() {
	m.town.t.Helper()
	for stop := time.Now().Add(90 * time.Second); time.Now().Before(stop); time.Sleep(200 * time.Millisecond) {
		if s := m.status().Supernodes; len(s) > 0 && s[0].State == control.StateRegistered {
			return
		}
	}
	m.town.t.Fatalf("%s is not registered: %+v", m.Name, m.status())
}
