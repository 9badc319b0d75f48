package supernode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
)

// storedCommunity is the community of the edges that stateWith stores.
func storedCommunity() *crypto.Community { return testCommunity("c", "k") }

// stateWith returns a state directory with n registrations, and the database in it.
func stateWith(t *testing.T, n int) (dir string, database []byte) {
	t.Helper()
	dir = t.TempDir()
	r := newRig(t, Config{StateDir: dir})
	for i := range n {
		r.edge(storedCommunity(), fmt.Sprint("e", i), i+1).join()
	}
	r.s.store.write()
	_ = r.s.store.close()
	database, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	return dir, database
}

// TestDamagedDatabaseIsSetAside starts a supernode on every kind of damage. It
// starts, says where the file is, keeps what was in it, and goes on storing.
func TestDamagedDatabaseIsSetAside(t *testing.T) {
	dir, whole := stateWith(t, 3)
	page := os.Getpagesize()
	changed := func(change func(b []byte)) []byte { b := bytes.Clone(whole); change(b); return b }
	for name, content := range map[string][]byte{
		"empty":              {},
		"one byte":           {7},
		"text":               []byte("registrations: none\n"),
		"garbage":            junk(4 * page),
		"garbage of a page":  junk(page),
		"the metas only":     whole[:2*page],
		"cut in a page":      whole[:2*page+100],
		"cut at a page":      whole[:3*page],
		"zeros":              make([]byte, len(whole)),
		"both metas changed": changed(func(b []byte) { b[40] ^= 1; b[page+40] ^= 1 }),
		"pages of zeros":     changed(func(b []byte) { clear(b[2*page:]) }),
		"pages of garbage":   changed(func(b []byte) { copy(b[2*page:], junk(len(b)-2*page)) }),
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, storeFile)
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			cfg := Config{StateDir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))}
			r := newRig(t, cfg)
			st := r.s.Status()
			if want := path + ".damaged-20260301T120000.000Z"; st.SetAside != want || st.Leases != 0 {
				t.Fatalf("%d leases, set aside %q, log %s", st.Leases, st.SetAside, &log)
			}
			if kept, err := os.ReadFile(st.SetAside); err != nil || !bytes.Equal(kept, content) {
				t.Errorf("%d bytes were kept, of %d: %v", len(kept), len(content), err)
			}
			if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), st.SetAside) {
				t.Errorf("the log says %s", &log)
			}
			e := r.edge(storedCommunity(), "e0", 1).join()
			r = r.restart(cfg)
			if st := r.s.Status(); st.SetAside != "" || st.Leases != 1 || r.s.registry.byHandle[e.ack.Handle] == nil {
				t.Errorf("after the next start: %+v", st)
			}
			_ = r.s.store.close()
		})
	}
}

// TestBootAfterDamage: after the boot count was lost it goes on from a random one,
// since indices of past boots must not look like those of this one.
func TestBootAfterDamage(t *testing.T) {
	dir := t.TempDir()
	boots := map[uint8]bool{}
	for range 8 {
		if err := os.WriteFile(filepath.Join(dir, storeFile), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		r := newRig(t, Config{StateDir: dir})
		boots[r.s.sessions.boot] = true
		_ = r.s.store.close()
	}
	if len(boots) < 5 {
		t.Errorf("the boots are %v", boots)
	}
}

// TestAnyDamage changes random runs of bytes of a database with many pages, and
// cuts it anywhere. Whatever it is, the store opens, and takes what is written.
func TestAnyDamage(t *testing.T) {
	whole := manyPages(t)
	rnd := rand.New(rand.NewPCG(1, 2))
	aside := 0
	for n := range 150 {
		b := bytes.Clone(whole)
		switch n % 3 {
		case 0:
			b = b[:rnd.IntN(len(b))]
		case 1:
			at := rnd.IntN(len(b))
			copy(b[at:], junk(1+rnd.IntN(64)))
		case 2:
			at := rnd.IntN(len(b) / 512)
			clear(b[at*512 : (at+1)*512]) // a sector that was never written
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, storeFile), b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, _ := openTestStore(t, dir)
		if s.setAside != "" {
			aside++
		}
		for i := range 50 {
			s.put(recordKey{byte(i), byte(n)}, []byte("a record"))
		}
		s.write()
		if !s.broken {
			_ = s.close()
		}
	}
	if aside < 20 || aside > 130 { // of the rest, the damage is in records or in free pages
		t.Errorf("%d of 150 were set aside", aside)
	}
}

// manyPages returns a database of many pages, of which some are free.
func manyPages(t *testing.T) []byte {
	t.Helper()
	dir := t.TempDir()
	s, _ := openTestStore(t, dir)
	for round := range 3 {
		for i := range 500 {
			key := recordKey{byte(i), byte(i >> 8)}
			if round == 1 && i%3 == 0 {
				s.put(key, nil)
			} else {
				s.put(key, make([]byte, recordLen))
			}
		}
		s.write()
	}
	_ = s.close()
	b, err := os.ReadFile(filepath.Join(dir, storeFile))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func openTestStore(t *testing.T, dir string) (*store, uint64) {
	t.Helper()
	var counted drops
	s, boot, err := openStore(storeConfig{
		dir: dir, log: slog.New(slog.DiscardHandler), now: func() time.Time { return epoch },
		boot: func() uint64 { return 100 }, failures: &counted[dropStoreWrite],
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, boot
}

// TestDatabaseThatCannotBeOpened: what the system refuses is no damage, and moves
// nothing.
func TestDatabaseThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, storeFile)
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	_, err := New(Config{Conn: newRecorder(), StateDir: dir})
	var damage *damagedError
	if err == nil || errors.As(err, &damage) || !strings.Contains(err.Error(), path) {
		t.Errorf("%v", err)
	}
	if state, err := os.Stat(path); err != nil || !state.IsDir() {
		t.Errorf("it was moved: %v", err)
	}
}

// TestStoreThatBreaks: a database whose pages turn out to be damaged while it is
// written is left alone from then on, said once, and counted; the supernode goes on
// and ends.
func TestStoreThatBreaks(t *testing.T) {
	var log bytes.Buffer
	r := newRig(t, Config{StateDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(&log, nil))})
	e := r.edge(storedCommunity(), "e", 1).join()
	r.s.store.write()
	// The library believes that nothing is open and panics.
	_ = r.s.store.db.Close()
	broken := r.s.store.db
	r.s.store.db = nil
	for range 3 {
		r.s.store.mu.Lock()
		r.s.store.dirty[recordKey{1}] = []byte("a record")
		r.s.store.mu.Unlock()
		r.s.store.write()
	}
	r.s.store.db = broken
	if r.dropped(dropStoreWrite) != 1 || !r.s.store.broken || strings.Count(log.String(), "level=WARN") != 1 {
		t.Errorf("%d failures, broken %v, log %s", r.dropped(dropStoreWrite), r.s.store.broken, &log)
	}
	if ack, _ := e.register(e.request()); ack == nil {
		t.Error("no longer answers")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// TestFailedWritesAreTriedAgain: a write that fails for want of the database is
// counted, said once, and made up for.
func TestFailedWritesAreTriedAgain(t *testing.T) {
	dir := t.TempDir()
	s, _ := openTestStore(t, dir)
	whole := s.db
	_ = whole.Close()
	for i := range byte(3) {
		s.put(recordKey{i}, []byte("a record"))
		s.write()
	}
	if s.failures.Load() != 3 || s.broken || len(s.dirty) != 3 {
		t.Fatalf("%d failures, broken %v, %d notes", s.failures.Load(), s.broken, len(s.dirty))
	}
	again, _ := openTestStore(t, dir)
	s.db = again.db
	s.write()
	n := 0
	_ = s.each(func(recordKey, []byte) { n++ })
	if n != 3 || s.failing.Load() {
		t.Errorf("%d records, failing %v", n, s.failing.Load())
	}
	_ = s.close()
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
