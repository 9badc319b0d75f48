package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"hedgerow/internal/cli"
)

// wholeIdentity matches the line with the identity in all of its digits.
var wholeIdentity = regexp.MustCompile(`(?m)^[0-9a-f]{64}$`)

// machines is a disk that is put into one machine after the other.
type machines struct {
	t    *testing.T
	dir  string // of the community
	in   string // the machine that it is in now
	noon time.Time
}

func newMachines(t *testing.T) *machines {
	m := &machines{t: t, dir: filepath.Join(t.TempDir(), "a [state] of mine", "n"), in: "one", noon: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	if err := os.MkdirAll(m.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return m
}

// place is the disk in the machine.
func (m *machines) place() identityDir {
	return identityDir{path: m.dir, machine: machineHash(m.in), now: func() time.Time { m.noon = m.noon.Add(time.Minute); return m.noon }}
}

// start is the start of an edge. It returns its identity, and whether another machine's
// was left.
func (m *machines) start() (id string, left bool) {
	m.t.Helper()
	o, err := m.place().open()
	if err != nil {
		m.t.Fatal(err)
	}
	if o.left != "" && !strings.HasPrefix(o.left, m.dir) {
		m.t.Errorf("left in %s", o.left)
	}
	return o.id.ShortID(), o.left != ""
}

// typed types a command on the machine and returns what it prints.
func (m *machines) typed(words string) (out, errs string, code cli.Code) {
	m.t.Helper()
	cmd := testCommand(nil)
	cmd.machine, cmd.now = func() string { return machineHash(m.in) }, m.place().now
	code = cli.Run(m.t.Context(), cmd.app(), append(append([]string{program}, strings.Fields(words)...), "--state-dir", filepath.Dir(m.dir)), cmd.streams)
	return cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String(), code
}

// A cloned disk is another member: at its start in another machine the edge makes a new
// identity, keeps the old one, and takes that when it is told to.
func TestClonedDisk(t *testing.T) {
	m := newMachines(t)
	original, left := m.start()
	if again, second := m.start(); left || second || again != original {
		t.Fatalf("%s, then %s", original, again)
	}
	m.in = "two"
	if out, _, code := m.typed("identity"); code != cli.OK || !strings.Contains(out, original) || !wholeIdentity.MatchString(out) || !strings.Contains(out, "another machine's: the next start makes a new one") {
		t.Errorf("before the start: %d %s", code, out)
	}
	newcomer, left := m.start()
	if !left || newcomer == original {
		t.Errorf("in another machine it is still %s", newcomer)
	}
	if again, left := m.start(); left || again != newcomer {
		t.Errorf("at the next start it is %s", again)
	}
	out, _, code := m.typed("identity")
	if code != cli.OK || !strings.Contains(out, newcomer) || !strings.Contains(out, "this machine's") || !strings.Contains(out, "set aside: "+m.dir) {
		t.Errorf("%d %s", code, out)
	}
	if out, _, code := m.typed("identity adopt -c n"); code != cli.OK || !strings.Contains(out, original) {
		t.Errorf("%d %s", code, out)
	}
	if now, left := m.start(); left || now != original {
		t.Errorf("after adopting it is %s", now)
	}
	if out, _, code := m.typed("identity adopt"); code != cli.OK || !strings.Contains(out, newcomer) {
		t.Errorf("adopting again changes back: %d %s", code, out)
	}
	out, _, code = m.typed("identity new")
	if now, _ := m.start(); code != cli.OK || now == original || now == newcomer || !strings.Contains(out, now) {
		t.Errorf("a new one: %d %s, %s", code, out, now)
	}
	for _, path := range []string{"id", "machine"} {
		if info, err := os.Stat(filepath.Join(m.dir, path)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", path, info, err)
		}
	}
	if b, err := os.ReadFile(filepath.Join(m.dir, machineKept)); err != nil || strings.Contains(string(b), "two") {
		t.Errorf("the machine id itself is kept: %s", b)
	}
}

// Adopting before the start, and for good.
func TestAdopt(t *testing.T) {
	m := newMachines(t)
	original, _ := m.start()
	if _, errs, code := m.typed("identity adopt"); code != cli.Failure || !strings.Contains(errs, "there is nothing to adopt") {
		t.Errorf("%d %s", code, errs)
	}
	m.in = "two"
	if out, _, code := m.typed("identity adopt"); code != cli.OK || !strings.Contains(out, original) {
		t.Errorf("%d %s", code, out)
	}
	if now, left := m.start(); left || now != original {
		t.Errorf("it is %s", now)
	}
	if _, errs, code := m.typed("identity adopt --any-machine"); code != cli.OK {
		t.Errorf("%d %s", code, errs)
	}
	for _, in := range []string{"three", "four", ""} {
		m.in = in
		if now, left := m.start(); left || now != original {
			t.Errorf("in machine %q it is %s", in, now)
		}
	}
	if out, _, _ := m.typed("identity"); !strings.Contains(out, "any machine's") {
		t.Error(out)
	}
}

// Where there is no machine id nothing is noticed and nothing forgotten; a directory of
// the time before machine ids were kept belongs to the machine that it is in.
func TestNoMachineID(t *testing.T) {
	for _, id := range []string{"", "uninitialized"} {
		if machineHash(id) != "" {
			t.Errorf("%q has a hash", id)
		}
	}
	m := newMachines(t)
	m.in = ""
	original, _ := m.start()
	if out, _, _ := m.typed("identity"); !strings.Contains(out, "without a machine id") {
		t.Error(out)
	}
	m.in = "one" // as after an update of the program
	if now, left := m.start(); left || now != original {
		t.Errorf("it is %s", now)
	}
	m.in = ""
	if now, left := m.start(); left || now != original {
		t.Errorf("without a machine id it is %s", now)
	}
	m.in = "two"
	if now, left := m.start(); !left || now == original {
		t.Errorf("what was known of the machine was forgotten: it is %s", now)
	}
}

// What the sub-commands cannot do.
func TestIdentityFaults(t *testing.T) {
	m := newMachines(t)
	if _, errs, code := m.typed("identity"); code != cli.Failure || !strings.Contains(errs, "no identity in") {
		t.Errorf("nobody: %d %s", code, errs)
	}
	if _, errs, code := m.typed("identity new -c other"); code != cli.Failure || !strings.Contains(errs, `there is no edge of community "other"`) {
		t.Errorf("another community: %d %s", code, errs)
	}
	if _, errs, code := m.typed("identity -c n"); code != cli.Failure || !strings.Contains(errs, "The first start of the edge makes an identity.") {
		t.Errorf("not started: %d %s", code, errs)
	}
	m.start()
	lock, err := cli.Lock(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []string{"adopt", "new"} {
		want := fmt.Sprintf("an edge uses this identity (%s is in use by pid %d): stop it first.", m.dir, os.Getpid())
		if _, errs, code := m.typed("identity " + change); code != cli.Failure || !strings.Contains(errs, want) {
			t.Errorf("%s beside an edge: %d %s", change, code, errs)
		}
	}
	_ = lock.Close()
	second := filepath.Join(filepath.Dir(m.dir), "second")
	if err := os.Mkdir(second, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := (identityDir{path: second, now: time.Now}).open(); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := m.typed("identity"); code != cli.Usage || !strings.Contains(errs, "say which with -c NAME (n, second)") {
		t.Errorf("two communities: %d %s", code, errs)
	}
	if _, errs, code := m.typed("identity forget"); code != cli.Usage || !strings.Contains(errs, `unexpected argument "forget"`) {
		t.Errorf("an unknown word: %d %s", code, errs)
	}
}
