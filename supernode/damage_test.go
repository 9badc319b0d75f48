package supernode

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/journal"
)

// storedCommunity is the community of the edges that stateWith stores.
func storedCommunity() *crypto.Community { return testCommunity("c", "k") }

// stateWith returns a state directory with n registrations, and the edges.
func stateWith(t *testing.T, n int) (dir string, edges []*fakeEdge) {
	t.Helper()
	dir = t.TempDir()
	cfg := Config{StateDir: dir, Limits: Limits{InitRate: 1e6}}
	r := newRig(t, cfg)
	for i := range n {
		edges = append(edges, r.edge(storedCommunity(), fmt.Sprint("e", i), i+1).join())
	}
	r.restart(cfg).s.store.close()
	return dir, edges
}

// damages are ways to damage a file, by their names.
func damages(whole []byte) map[string][]byte {
	rnd := rand.New(rand.NewPCG(1, uint64(len(whole))))
	changed := func(change func(b []byte)) []byte { b := bytes.Clone(whole); change(b); return b }
	all := map[string][]byte{
		"empty": {}, "one byte": {7}, "text": []byte("registrations: none\n"), "longer": append(bytes.Clone(whole), junk(1000)...),
		"garbage": junk(len(whole) + 5), "zeros": make([]byte, len(whole)+1), "half": whole[:len(whole)/2],
		"its end": changed(func(b []byte) { clear(b[len(b)-min(len(b), 8):]) }),
	}
	for at := 0; at < len(whole); at += os.Getpagesize() {
		all[fmt.Sprint("cut at ", at)] = whole[:at]
		all[fmt.Sprint("garbage at ", at)] = changed(func(b []byte) { copy(b[at:], junk(min(len(b)-at, os.Getpagesize()))[1:]) })
		all[fmt.Sprint("a page of zeros at ", at)] = changed(func(b []byte) { clear(b[at:min(len(b), at+os.Getpagesize())]) })
	}
	for n := range 15 {
		all[fmt.Sprint("flipped ", n)] = changed(func(b []byte) {
			for range 1 + rnd.IntN(10) {
				b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
			}
		})
	}
	return all
}

// TestAnyFileIsDamaged damages each file of a state directory in every way. The supernode
// starts as the one that it was, says what is damaged, has all registrations as before,
// goes on storing, and the next start is a clean one.
func TestAnyFileIsDamaged(t *testing.T) {
	dir, edges := stateWith(t, 12)
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 6 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		whole, err := os.ReadFile(filepath.Join(dir, file.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if len(whole) == 0 {
			continue // the lock
		}
		for name, content := range damages(whole) {
			older := file.Name() == ResetKeysFile && len(content) == bootBytes*resetKeyLen // it has no checksum
			if !bytes.Equal(content, whole) && !older {
				damageFile(t, copyState(t, dir), file.Name(), name, content, edges)
			}
		}
	}
}

// damageFile is TestAnyFileIsDamaged for one file.
func damageFile(t *testing.T, dir, file, damage string, content []byte, edges []*fakeEdge) {
	t.Helper()
	path := filepath.Join(dir, file)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if len(content) == 32 && file == IdentityFile && common([32]byte(content), edges[0].r.s.cfg.Identity.Seed) < sameBytes {
		return // it is another identity
	}
	var log bytes.Buffer
	cfg := Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
	r := newRig(t, cfg)
	wrong := func(format string, args ...any) {
		t.Helper()
		t.Errorf("%s, %s: %s; log %s", file, damage, fmt.Sprintf(format, args...), &log)
	}
	if r.s.Key() != edges[0].r.s.Key() {
		wrong("another identity")
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), path) {
		wrong("%d warnings", n)
	}
	if aside := r.s.Status().SetAside; aside != "" {
		if kept, err := os.ReadFile(aside); err != nil || !bytes.Equal(kept, content) {
			wrong("%d bytes were kept, of %d: %v", len(kept), len(content), err)
		}
		if len(r.s.Status().Notes) != 1 {
			wrong("status says %q", r.s.Status().Notes)
		}
	}
	for _, e := range edges {
		if reg := r.s.registry.byHandle[e.ack.Handle]; reg == nil || reg.lease != e.ack.Lease || reg.mac != e.mac {
			wrong("%v is not there", e.ack.Lease)
		}
	}
	e := r.edge(storedCommunity(), "new", 500).join()
	log.Reset()
	r = r.restart(cfg)
	if st := r.s.Status(); st.SetAside != "" || st.Leases != len(edges)+1 || r.s.registry.byHandle[e.ack.Handle] == nil || log.Len() != 0 {
		wrong("after the next start: %+v", st)
	}
	r.s.store.close()
}

// TestBothCopiesAreDamaged: what neither file of the registrations has any more comes back
// with the edges. Whoever was not here before waits until they are back, so that nobody is
// given the address of another.
func TestBothCopiesAreDamaged(t *testing.T) {
	dir, edges := stateWith(t, 12)
	whole, err := os.ReadFile(filepath.Join(dir, journal.First))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range damages(whole) {
		dir := copyState(t, dir)
		for _, file := range []string{journal.First, journal.Second} {
			if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var log bytes.Buffer
		r := newRig(t, Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil)), Limits: Limits{InitRate: 1e6}})
		st := r.s.Status()
		if strings.Count(st.SetAside, ".damaged-") != 2 || len(st.Notes) != 1 || strings.Count(log.String(), "level=WARN") != 2 {
			t.Errorf("%s: set aside %q, notes %q, log %s", name, st.SetAside, st.Notes, &log)
		}
		for n, path := range strings.Split(st.SetAside, ", ") {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if st := r.s.Status(); strings.Count(st.SetAside, ".damaged-") != 1-n || len(st.Notes) != 1-n {
				t.Errorf("%s: with %d of the files removed, set aside %q, notes %q", name, n+1, st.SetAside, st.Notes)
			}
		}
		newcomer := r.edge(storedCommunity(), "new", 500)
		newcomer.connect()
		if ack, nak := newcomer.register(newcomer.request()); ack != nil || nak.Code != protocol.CodeRate {
			t.Errorf("%s: the newcomer got %+v, %+v", name, ack, nak)
		}
		for _, e := range edges {
			e := *e
			e.r = r
			e.connect()
			m := e.request()
			m.Prefix = e.ack.Lease
			if ack, nak := e.register(m); ack == nil || ack.Lease != m.Prefix {
				t.Errorf("%s: whoever had %v got %+v, %+v", name, m.Prefix, ack, nak)
			}
		}
		r.now = r.now.Add(returnTime)
		if ack, _ := newcomer.register(newcomer.request()); ack == nil {
			t.Errorf("%s: the newcomer gets nothing", name)
		}
	}
}

// TestBootAfterDamage: after the boot count was lost it goes on from a random one,
// since indices of past boots must not look like those of this one.
func TestBootAfterDamage(t *testing.T) {
	dir := t.TempDir()
	boots := map[uint8]bool{}
	for range 8 {
		for _, name := range []string{journal.First, journal.Second} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		r := newRig(t, Config{StateDir: dir})
		boots[r.s.sessions.boot] = true
		r.s.store.close()
	}
	if len(boots) < 5 {
		t.Errorf("the boots are %v", boots)
	}
}

// TestRegistrationsThatCannotBeOpened: what the system refuses is no damage, and moves
// nothing.
func TestRegistrationsThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, journal.First)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{Conn: newRecorder(), StateDir: dir})
	if err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if state, err := os.Stat(path); err != nil || !state.IsDir() {
		t.Errorf("it was moved: %v", err)
	}
}

// TestStateDirectoryRemoved removes the state directory, or a file of the registrations,
// while the supernode runs. It says so, goes on, and puts everything back.
func TestStateDirectoryRemoved(t *testing.T) {
	for _, gone := range []string{".", journal.First, journal.Second} {
		var log bytes.Buffer
		dir := t.TempDir() + "/state"
		cfg := Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
		r := newRig(t, cfg)
		r.edge(storedCommunity(), "a", 1).join()
		if err := os.RemoveAll(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		r.s.store.again = r.now.Add(storeRetry)
		r.edge(storedCommunity(), "b", 2).join()
		if r.s.store.sentence() == "" || strings.Count(log.String(), "level=WARN") != 1 {
			t.Errorf("%s: status says %q, log %s", gone, r.s.store.sentence(), &log)
		}
		r.edge(storedCommunity(), "c", 3).join()
		if n := strings.Count(log.String(), "level=WARN"); n != 1 {
			t.Errorf("%s: it is said %d times", gone, n)
		}
		r.now = r.now.Add(storeRetry)
		r.s.store.write()
		if r.s.store.sentence() != "" || !strings.Contains(log.String(), "written again") {
			t.Errorf("%s: status says %q, log %s", gone, r.s.store.sentence(), &log)
		}
		next := newRig(t, Config{StateDir: copyState(t, dir)})
		if st := next.s.Status(); next.s.Key() != r.s.Key() || st.Leases != 3 || len(st.Notes) != 0 {
			t.Errorf("%s: afterwards %+v", gone, st)
		}
	}
}

// TestDamagedIdentity: without its identity a supernode is another one to every
// edge, so a damaged file is a reason not to start, and the error says what to do.
func TestDamagedIdentity(t *testing.T) {
	for name, content := range map[string][]byte{
		"empty": {}, "cut": make([]byte, 31), "zeros": make([]byte, 32), "garbage": junk(100),
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, IdentityFile)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := New(Config{Conn: newRecorder(), StateDir: dir})
		if err == nil {
			t.Fatalf("%s: it started", name)
		}
		for _, says := range []string{path, "backup", "move it away"} {
			if !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %q does not say %q", name, err, says)
			}
		}
		if kept, err := os.ReadFile(path); err != nil || !bytes.Equal(kept, content) {
			t.Errorf("%s: the file was changed: %v", name, err)
		}
	}
}
