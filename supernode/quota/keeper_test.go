package quota

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/internal/durable"
)

// testDisk is the disk of the system, without syncs. It fails while it is full.
type testDisk struct {
	durable.Disk
	full     bool
	replaced int // how often
}

var errFull = errors.New("no space left on device")

type unsynced struct{ durable.File }

func (unsynced) Sync() error { return nil }

func (d *testDisk) CreateTemp(dir, pattern string) (durable.File, error) {
	if d.full {
		return nil, errFull
	}
	d.replaced++
	f, err := d.Disk.CreateTemp(dir, pattern)
	return unsynced{f}, err
}

func (d *testDisk) SyncDir(string) error { return nil }

func (d *testDisk) Append(path string) (durable.File, error) {
	if d.full {
		return nil, errFull
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return nil, err
	}
	return f, nil
}

// shelf is where a test keeps a table.
type shelf struct {
	dir    string
	disk   *testDisk
	now    time.Time
	tables sync.Mutex
}

func newShelf(t *testing.T) *shelf {
	return &shelf{dir: t.TempDir(), disk: &testDisk{Disk: durable.System}, now: noon}
}

func (s *shelf) path() string { return filepath.Join(s.dir, FileName) }

// open is a start.
func (s *shelf) open() (*Table, *Keeper) {
	table := NewTable(s.now, Limits{}, 1000, 1000, 1000)
	return table, Open(table, Config{
		Dir: s.dir, Disk: s.disk, Log: slog.New(slog.DiscardHandler), Tables: &s.tables, Now: func() time.Time { return s.now },
	})
}

// used checks what somebody has used.
func used(t *testing.T, table *Table, want ...uint64) {
	t.Helper()
	var all uint64
	for n, w := range want {
		if got := payer(table, 1, n+1).edge.used; got != w {
			t.Errorf("%d has used %d, want %d", n+1, got, w)
		}
		all += w
	}
	if table.All().Used != all || table.Community([16]byte{1}).Used != all {
		t.Errorf("%d in all, %d of the community, want %d", table.All().Used, table.Community([16]byte{1}).Used, all)
	}
}

// TestKept: what was written is there at the next start, also beside what was written before
// it, and in another month it is not.
func TestKept(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	keeper.Save()
	if _, err := os.Stat(s.path()); err == nil {
		t.Error("a file is written that holds nothing")
	}
	a, b := payer(table, 1, 1), payer(table, 1, 2)
	table.Add(a, 100)
	keeper.Save()
	table.Add(b, 7)
	table.Add(a, 11)
	keeper.Save()
	keeper.Save()
	table.Add(a, 1000) // and is killed
	if s.disk.replaced != 1 {
		t.Errorf("the file was written anew %d times", s.disk.replaced)
	}

	table, keeper = s.open()
	used(t, table, 111, 7)
	table.Add(payer(table, 1, 2), 1)
	keeper.Save()
	if s.disk.replaced != 1 {
		t.Error("a start writes the file anew")
	}
	s.now = time.Unix(0, 0) // a clock that is set later
	table, _ = s.open()
	used(t, table, 111, 8)
	s.now = noon.AddDate(0, 1, 0)
	table, keeper = s.open()
	used(t, table, 0, 0)
	if note := keeper.Note(); note != "" {
		t.Error(note)
	}
	content := keeper.Content()
	if err := Check(content); err != nil || Check(nil) != nil || Check(content[:5]) == nil {
		t.Errorf("the content of the file: %v", err)
	}
}

// TestClockBehind: a host that starts with a clock of its past has what was used when the clock
// is set, and what was used meanwhile. A clock that stays behind is believed after a while.
func TestClockBehind(t *testing.T) {
	const behind = -3 // years
	for _, later := range []struct {
		after time.Duration // by its clock
		set   bool
		want  uint64
	}{{time.Minute, false, 7}, {settling - 1, true, 7}, {settling, false, 0}, {24 * time.Hour, true, 7}} {
		s := newShelf(t)
		table, keeper := s.open()
		table.Add(payer(table, 1, 1), 5)
		keeper.Save()
		s.now = noon.AddDate(behind, 0, 0)
		table, keeper = s.open()
		table.Look(s.now.Add(settling / 2))
		table.Add(payer(table, 1, 1), 2)
		keeper.Save()
		now := s.now.Add(later.after)
		if later.set {
			now = noon.Add(later.after)
		}
		table.Look(now)
		used(t, table, later.want)
		if !table.month.has(now) && later.want == 0 {
			t.Errorf("%+v: the month from %v on", later, table.Begins())
		}
		s.now = noon
		if table, _ = s.open(); later.set {
			used(t, table, later.want)
		}
	}
}

// TestFileIsBounded: the file is written anew before it has many times as many records as
// there are accounts, and holds the same then.
func TestFileIsBounded(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	p := payer(table, 1, 1)
	const saves = 1200 // of four records
	for range saves {
		table.Add(p, 1)
		keeper.Save()
	}
	if s.disk.replaced != 2 {
		t.Errorf("written anew %d times", s.disk.replaced)
	}
	state, err := os.Stat(s.path())
	if err != nil || state.Size() > int64(len(fileHeader)+(slack+12)*recordLen) {
		t.Errorf("%d bytes, %v", state.Size(), err)
	}
	table, _ = s.open()
	used(t, table, saves)
}

// TestDamagedFile cuts a file at lengths, and flips bytes, all over it: what can be read
// is used, what a killed process leaves is no damage, and other damage is said and set aside.
func TestDamagedFile(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	for n := range 2 {
		table.Add(payer(table, 1, n+1), 10)
		keeper.Save()
	}
	whole, err := os.ReadFile(s.path())
	if err != nil {
		t.Fatal(err)
	}
	start := func(b []byte) (*Table, *Keeper) {
		if err := os.WriteFile(s.path(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		return s.open()
	}
	const apart = 5 // bytes: each field of a record and each record is hit
	for n := 0; n < len(whole); n += apart {
		table, keeper := start(whole[:n])
		if got := keeper.Note(); (got == "") != (n >= len(fileHeader)) {
			t.Fatalf("cut to %d bytes: %q", n, got)
		}
		table.Add(payer(table, 1, 9), 1)
		keeper.Save()
		if b, err := os.ReadFile(s.path()); err != nil || Check(b) != nil {
			t.Fatalf("cut to %d bytes, and written again: %v, %v", n, err, Check(b))
		}
	}
	last := len(whole) - recordLen
	for n := 0; n < len(whole); n += apart {
		b := bytes.Clone(whole)
		b[n] ^= 0x40
		table, keeper := start(b)
		if got := keeper.Note(); (got == "") != (n >= last) || got != "" && !strings.Contains(got, ".damaged-") {
			t.Fatalf("byte %d flipped: %q", n, got)
		}
		if n < last {
			if err := os.Remove(keeper.aside); err != nil || keeper.Note() != "" {
				t.Fatalf("byte %d flipped, and the file removed: %q, %v", n, keeper.Note(), err)
			}
		}
		if sum := table.All().Used; n >= len(fileHeader) && sum < 10 {
			t.Fatalf("byte %d flipped: %d are left of 20", n, sum)
		}
	}
	table, _ = start(whole)
	used(t, table, 10, 10)
}

// TestUnreadableFile: a file that the system does not let be read is set aside as a damaged one
// is, so that the next write does not take its place.
func TestUnreadableFile(t *testing.T) {
	s := newShelf(t)
	if err := os.Symlink(FileName, s.path()); err != nil { // to itself: it cannot be opened
		t.Skipf("no symbolic links here: %v", err)
	}
	table, keeper := s.open()
	table.Add(payer(table, 1, 1), 5)
	keeper.Save()
	if note := keeper.Note(); !strings.Contains(note, ".damaged-") {
		t.Errorf("%q", note)
	}
	table, _ = s.open()
	used(t, table, 5)
}

// changesLock counts how many accounts are taken to be written while it is held.
type changesLock struct {
	sync.Mutex
	clean func() int // accounts that are written
	was   int
	most  int
}

func (l *changesLock) Lock() {
	l.Mutex.Lock()
	l.was = l.clean()
}

func (l *changesLock) Unlock() {
	l.most = max(l.most, l.clean()-l.was)
	l.Mutex.Unlock()
}

// TestSaveLetsOthersGoOn: a save of many accounts does not hold the lock of the tables for
// all of them at once.
func TestSaveLetsOthersGoOn(t *testing.T) {
	const edges = 3 * chunk
	s := newShelf(t)
	table := NewTable(s.now, Limits{}, 1, edges, 1)
	lock := &changesLock{clean: func() (n int) {
		for _, a := range table.books[Edge].list {
			if !a.dirty {
				n++
			}
		}
		return n
	}}
	keeper := Open(table, Config{
		Dir: s.dir, Disk: s.disk, Log: slog.New(slog.DiscardHandler), Tables: lock, Now: func() time.Time { return s.now },
	})
	for range 2 { // a file that is new, and one that is there
		for n := range edges {
			table.Add(payer(table, 1, n+1), 1)
		}
		keeper.Save()
	}
	if lock.most == 0 || lock.most > chunk {
		t.Errorf("%d accounts at once", lock.most)
	}
	on := NewTable(s.now, Limits{}, 1, edges, 1)
	Open(on, keeper.cfg)
	if on.All().Used != 2*edges || payer(on, 1, edges).edge.used != 2 {
		t.Errorf("%d are written", on.All().Used)
	}
}

// TestFullDisk: what cannot be written is said, and written when it can be; so it is when the
// file was removed.
func TestFullDisk(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	p := payer(table, 1, 1)
	for _, step := range []struct {
		full, removed bool
		note          string
	}{{}, {full: true, note: "cannot be written"}, {full: true, note: "no space left"}, {}, {removed: true}, {}} {
		s.disk.full = step.full
		if step.removed {
			if err := os.Remove(s.path()); err != nil {
				t.Fatal(err)
			}
		}
		table.Add(p, 5)
		keeper.Save()
		if note := keeper.Note(); (note == "") != (step.note == "") || !strings.Contains(note, step.note) {
			t.Errorf("%+v: %q", step, note)
		}
	}
	table, _ = s.open()
	used(t, table, 30)
}

// TestGivenAway: a successor reads what was used to the last byte, and nothing is written
// over it; after one that failed everything goes on.
func TestGivenAway(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	p := payer(table, 1, 1)
	table.Add(p, 5)
	if err := keeper.GiveAway(func() error { return errFull }); err != errFull {
		t.Error(err)
	}
	table.Add(p, 5)
	if err := keeper.GiveAway(func() error {
		heir, _ := s.open()
		used(t, heir, 10)
		return nil
	}); err != nil {
		t.Error(err)
	}
	table.Add(p, 5)
	keeper.End()
	table, _ = s.open()
	used(t, table, 10)
}

// TestRun: a process that is killed has lost no more than five seconds, and one that ends
// nothing. A successor writes nothing before the directory is its own.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf(t)
		released := make(chan struct{})
		table, keeper := s.open()
		keeper.cfg.Released = released
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { keeper.Run(ctx) })
		add := func(n uint64) {
			s.tables.Lock()
			table.Add(payer(table, 1, 1), n)
			s.tables.Unlock()
		}
		add(1)
		time.Sleep(time.Minute)
		if _, err := os.Stat(s.path()); err == nil {
			t.Error("written before the directory was released")
		}
		close(released)
		for range 10 {
			add(10)
			time.Sleep(saveEvery + time.Millisecond)
			on, _ := s.open()
			used(t, on, table.All().Used)
		}
		add(1000)
		cancel()
		running.Wait()
		keeper.End()
		on, _ := s.open()
		used(t, on, 1101)
	})
}

// TestNothingIsKept: without a directory nobody waits for one.
func TestNothingIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := NewTable(noon, Limits{}, 1, 1, 1)
		keeper := Open(table, Config{Log: slog.New(slog.DiscardHandler), Tables: new(sync.Mutex), Now: time.Now, Released: make(chan struct{})})
		table.Add(payer(table, 1, 1), 5)
		keeper.Run(t.Context())
		keeper.End()
		if table.All().Used != 5 || keeper.Note() != "" {
			t.Errorf("%+v, note %q", table.All(), keeper.Note())
		}
	})
}

// TestManyDirtyAccounts: while the disk takes nothing no more is noted than there are places.
func TestManyDirtyAccounts(t *testing.T) {
	s := newShelf(t)
	table, keeper := s.open()
	s.disk.full = true
	for n := range 5000 {
		table.Add(payer(table, n, n), 1)
		if len(table.dirty) > 3002 {
			t.Fatalf("%d are noted", len(table.dirty))
		}
	}
	s.disk.full = false
	keeper.Save()
	on, _ := s.open()
	if on.All().Used != 5000 {
		t.Errorf("%d are written", on.All().Used)
	}
}

// However many edges a supernode may have, it reads the file that it writes.
func TestLargestFile(t *testing.T) {
	table := NewTable(time.Now(), Limits{}, 2<<30, 2<<30, 2<<30)
	accounts := 1
	for scope := range table.books {
		accounts += table.books[scope].most
	}
	if size := len(fileHeader) + (2*accounts+slack)*recordLen; size > maxFile || size < maxFile*9/10 {
		t.Errorf("the largest file has %d bytes, and one of %d is read", size, maxFile)
	}
}
