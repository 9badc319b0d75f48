package lists

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"hedgerow/internal/durable"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// files returns how many lists are in a directory.
func files(t *testing.T, dir string) int {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, filePrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(names)
}

// counting returns how many lists count.
func (t *Table) counting() (n int) {
	for _, r := range t.rooms {
		if r.list != nil {
			n++
		}
	}
	return n
}

// TestNoFileWithoutRoom: of lists that come at one time, and for which there is no room in the
// end, nothing is on the disk; nor are files for which there is no room at a start.
func TestNoFileWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	table := newTable(t, Config{Dir: dir, Size: 4 * roster.MaxSize})
	add := func(n int) {
		c := newCommunity(n)
		if !give(t, table, epoch, c, c.sign(t, 1, 1000), uint32(n+1), source(1)) {
			t.Fatalf("%d is not asked for", n)
		}
	}
	for n := range 10 {
		add(n)
		table.work(epoch)
		table.Occupied(newCommunity(n).c.ID(), true)
	}
	for n := range 15 {
		add(100 + n)
	}
	for j := table.Next(); j != nil; j = table.Next() {
		table.Do(j)
		if cid, changed := table.Done(epoch, j); changed {
			table.Occupied(cid, true)
		}
		table.check(t)
	}
	if counts := table.counting(); counts != files(t, dir) || counts < 12 || counts == 25 {
		t.Errorf("%d lists count, %d are on the disk", counts, files(t, dir))
	}
	next := newTable(t, Config{Dir: dir, Size: 1})
	next.work(epoch)
	if next.check(t); files(t, dir) != 0 || len(next.rooms) != 0 {
		t.Errorf("%d lists without room are on the disk", files(t, dir))
	}
}

// TestJobsTakeTurns: who brings many lists keeps nobody of another network waiting, and has no
// more of them by making a new session for each.
func TestJobsTakeTurns(t *testing.T) {
	table := newTable(t, Config{})
	came := 0
	for n := range 2 * sourceBurst {
		if c := newCommunity(n); give(t, table, epoch, c, c.sign(t, 1, 1), uint32(n+1), source(1)) {
			came++
		}
	}
	if came != sourceBurst {
		t.Errorf("one source has brought %d lists", came)
	}
	home := newCommunity(1000)
	if !give(t, table, epoch, home, home.sign(t, 1, 1), 5000, source(2)) {
		t.Fatal("it is not asked for")
	}
	before := 0
	for j := table.Next(); j != nil; j = table.Next() {
		table.Do(j)
		if cid, _ := table.Done(epoch, j); cid == home.c.ID() {
			break
		}
		before++
	}
	if before > 1 || table.List(home.c.ID()) == nil {
		t.Errorf("%d jobs of another network were done before", before)
	}
	if table.work(epoch); table.counting() != came+1 {
		t.Errorf("%d lists count", table.counting())
	}
	table.check(t)
}

// TestWaitingListsYield: lists that wait to be checked make room for those of other networks.
func TestWaitingListsYield(t *testing.T) {
	table := newTable(t, Config{Size: 4 * roster.MaxSize})
	for n := range 16 {
		if c := newCommunity(n); !give(t, table, epoch, c, c.sign(t, 1, 1000), uint32(n+1), source(1)) {
			t.Fatalf("%d is not asked for", n)
		}
	}
	home := newCommunity(1000)
	if !give(t, table, epoch, home, home.sign(t, 1, 1000), 5000, source(2)) {
		t.Fatal("there is no room for another network")
	}
	table.check(t)
	if table.work(epoch); table.List(home.c.ID()) == nil || table.counting() != 16 {
		t.Errorf("%d lists count", table.counting())
	}
	table.check(t)
}

// TestNewerWhileOneWaits: of two lists of a community that have come before one was checked the
// newer one counts, also when the authority should not have signed the older one.
func TestNewerWhileOneWaits(t *testing.T) {
	table, c := newTable(t, Config{Dir: t.TempDir()}), newCommunity(1)
	give(t, table, epoch, c, c.sign(t, 1, 3), 1, source(1))
	first := table.Next()
	table.Do(first)
	give(t, table, epoch, c, c.sign(t, 2, 3), 2, source(1))
	give(t, table, epoch, c, c.sign(t, 3, 3), 3, source(1))
	table.check(t)
	first.list = nil // it could not be
	table.Done(epoch, first)
	table.check(t)
	if changed := table.work(epoch); changed != 1 || table.List(c.c.ID()) == nil || table.List(c.c.ID()).Head.Serial != 3 {
		t.Errorf("%d lists have come to count, the last is %+v", changed, table.List(c.c.ID()))
	}
	table.check(t)
}

// TestFileOfNewList: a list that makes room while a newer one of its community waits takes the
// file of that one not with it.
func TestFileOfNewList(t *testing.T) {
	dir := t.TempDir()
	table := newTable(t, Config{Dir: dir, Size: 4 * roster.MaxSize})
	c, other := newCommunity(1), newCommunity(2)
	if !bring(t, table, epoch, c, c.sign(t, 1, 8000), 1, source(1)) {
		t.Fatal("no list")
	}
	list := c.sign(t, 2, 10)
	if !give(t, table, epoch, other, other.sign(t, 1, 16000), 2, source(1)) || !give(t, table, epoch, c, list, 3, source(1)) {
		t.Fatal("they are not asked for")
	}
	table.work(epoch)
	table.check(t)
	for _, at := range []*Table{table, newTable(t, Config{Dir: dir})} {
		if got := at.List(c.c.ID()); got == nil || got.Head != list.Head || at.List(other.c.ID()) == nil {
			t.Errorf("the list is %+v", got)
		}
	}
}

// TestListsFailOnDisk: a list that cannot be written is one however often that is tried, is told
// of until all are there, and a file that was gone before it was removed is no failure.
func TestListsFailOnDisk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	table, now := newTable(t, Config{Dir: dir}), epoch
	a, b := newCommunity(1), newCommunity(2)
	bring(t, table, now, a, a.sign(t, 1, 3), 1, source(1))
	bring(t, table, now, b, b.sign(t, 1, 3), 2, source(2))
	for range 5 {
		now = now.Add(retryPause)
		table.Tick(now)
		table.work(now)
	}
	if len(table.fail.left) != 2 || !strings.Contains(table.Note(), dir) {
		t.Fatalf("%d lists are left, note %q", len(table.fail.left), table.Note())
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	now = now.Add(retryPause)
	table.Tick(now)
	table.work(now)
	if table.Note() != "" || files(t, dir) != 2 || len(table.fail.left) != 0 {
		t.Fatalf("note %q, %d files, %d left", table.Note(), files(t, dir), len(table.fail.left))
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	table.forget(table.rooms[a.c.ID()])
	table.work(now)
	if table.Note() != "" || len(table.rooms) != 1 {
		t.Errorf("note %q, %d rooms", table.Note(), len(table.rooms))
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	table.Remade()
	table.work(now)
	if table.check(t); files(t, dir) != 1 {
		t.Errorf("%d files in a directory that was made anew", files(t, dir))
	}
}

// stubborn is a disk that removes nothing.
type stubborn struct{ durable.Disk }

func (stubborn) Remove(name string) error {
	return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrPermission}
}

// readOnly is a disk that takes nothing and removes nothing. It counts what it refused to take.
type readOnly struct {
	durable.Disk
	refused *int
}

func (d readOnly) CreateTemp(string, string) (durable.File, error) {
	*d.refused++
	return nil, syscall.EROFS
}

func (readOnly) Remove(string) error { return syscall.EROFS }

// TestReadOnlyDisk: while the disk takes nothing, lists that make room leave nothing behind in
// memory, and have no others written again.
func TestReadOnlyDisk(t *testing.T) {
	table, refused := newTable(t, Config{Dir: t.TempDir()}), 0
	table.cfg.Disk = readOnly{table.cfg.Disk, &refused}
	const strangers = 20
	for n := range strangers + 1 {
		c := newCommunity(n)
		bring(t, table, epoch, c, c.sign(t, 1, 1), uint32(n+1), source(n))
		if n > 0 {
			table.forget(table.rooms[c.c.ID()])
			table.work(epoch)
		}
	}
	if table.check(t); len(table.rooms) != 1 || len(table.fail.left) != 1 || table.Note() == "" {
		t.Errorf("%d rooms, %d of them left, note %q", len(table.rooms), len(table.fail.left), table.Note())
	}
	if refused != strangers+1 {
		t.Errorf("%d attempts to write %d lists", refused, strangers+1)
	}
}

// TestListStays: a file that cannot be removed is told of, and is removed when it can be, but not
// with a list in it that has come since.
func TestListStays(t *testing.T) {
	table, c := newTable(t, Config{Dir: t.TempDir()}), newCommunity(1)
	bring(t, table, epoch, c, c.sign(t, 1, 3), 1, source(1))
	disk := table.cfg.Disk
	table.cfg.Disk = stubborn{disk}
	table.forget(table.rooms[c.c.ID()])
	table.work(epoch)
	if table.check(t); table.Note() == "" || files(t, table.cfg.Dir) != 1 {
		t.Fatalf("note %q", table.Note())
	}
	table.cfg.Disk = disk
	again := bring(t, table, epoch, c, c.sign(t, 1, 3), 2, source(1))
	table.Tick(epoch)
	table.work(epoch)
	if table.check(t); !again || table.Note() != "" || files(t, table.cfg.Dir) != 1 {
		t.Fatalf("note %q, %d files of a list that has come again", table.Note(), files(t, table.cfg.Dir))
	}
	table.cfg.Disk = stubborn{disk}
	table.forget(table.rooms[c.c.ID()])
	table.work(epoch)
	table.cfg.Disk = disk
	table.Tick(epoch.Add(retryPause))
	table.work(epoch)
	if table.check(t); table.Note() != "" || files(t, table.cfg.Dir) != 0 || len(table.rooms) != 0 {
		t.Errorf("note %q, %d files", table.Note(), files(t, table.cfg.Dir))
	}
}

// TestHeadWithoutProof: a head whose signature was not looked at, since it was no news when it
// could have been, is not collected when it is news in the end.
func TestHeadWithoutProof(t *testing.T) {
	table, c := newTable(t, Config{}), newCommunity(1)
	bring(t, table, epoch, c, c.sign(t, 9, 3), 1, source(1))
	list := c.sign(t, 8, 3)
	list.Head.Sig[5] ^= 1
	claim, ok := Check(&protocol.Register{
		CID: c.c.ID(), NH: c.c.RoomHash(), RPK: c.claim(t, c.sign(t, 8, 3)).Room.RPK,
		Listing: &protocol.Listing{NameHash: c.c.NameHash(), Authority: [32]byte(c.by.Public()), Head: &list.Head},
	})
	if !ok || table.News(claim) {
		t.Fatal("an old head is news")
	}
	table.forget(table.rooms[c.c.ID()])
	if v, want := table.Judge(epoch, applicant(c, claim, 2, source(2))); v != Wanted || want != nil {
		t.Errorf("verdict %v, asked for %v", v, want)
	}
	if claim.Signed() {
		t.Error("it is signed")
	}
	if table.List(c.c.ID()) != nil {
		t.Error("it counts")
	}
}
