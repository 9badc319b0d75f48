package supernode

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/internal/filelock"
	"hedgerow/supernode/journal"
)

const (
	// storePause is the shortest time between two writes of what nobody waits for. The
	// first change after a quiet time is written at once.
	storePause = 200 * time.Millisecond
	// storePatience is how long an ACK waits for a disk that takes its time.
	storePatience = time.Second
	// storeRetry is the shortest time between two attempts to write everything anew, and
	// storeEffort how much of the time they may take: one part of so many.
	storeRetry  = 5 * time.Second
	storeEffort = 20
	// storeNotes is how many changes are noted while the disk takes none, besides one for
	// each registration that there may be: with more, everything is to be written anew.
	storeNotes = 65536
	// storeLock is how long the start waits for a predecessor to let go of the files.
	storeLock = 2 * time.Second
	// returnTime is for how long after a start that has lost registrations no edge is given
	// an address that it has not asked for: it may be the one of an edge that is about to come
	// back, which sends a packet every 22 s at least and is told of the restart then.
	returnTime = time.Minute
	// storeRecord is room for the longest record.
	storeRecord = 340
)

// errStoreInUse says that another process has the state directory open.
var errStoreInUse = errors.New("the state directory is in use by another supernode")

// recordKey is where a registration is kept: its community and MAC.
type recordKey = journal.Key

// store keeps registrations on disk, in a journal. put never waits: it notes the newest
// state of a registration, and one goroutine writes what was noted, all in one go. Whoever
// promises what was noted waits for that (await), but not while the disk takes nothing, or
// takes too long: then health says that leases may change.
type store struct {
	cfg     storeConfig
	journal *journal.Journal // the writer's; nil: nothing is kept, or not yet
	found   journal.Contents // until the registrations are restored
	wake    chan struct{}    // something was noted
	urgent  chan struct{}    // and somebody waits for it
	again   time.Time        // when everything may be written anew next

	// all calls a function for every registration, a few at a time, until it returns
	// false; written tells that writes up to a number have been made. Neither is called
	// with a mutex held.
	all     func(f func(recordKey, []byte) bool)
	written func(write uint64)
	kept    map[string][]byte // other files, which are written again with a directory that was removed

	mu    sync.Mutex
	dirty map[recordKey][]byte // nil: delete
	state storeState
	// overrun says that notes were dropped, so that everything is to be written anew.
	overrun         bool
	writes, awaited uint64 // that have begun, and up to which somebody waits
}

// storeState is what health says of a store.
type storeState struct {
	setAside []string    // the damaged files of the start
	lost     bool        // some of what was there before may be missing
	settled  time.Time   // and until then not all of those have come back whom that is about
	from     restoration // the backup that the files were restored from lately
	copies   int         // how many of the two copies could be written lately
	slow     bool        // a write takes longer than storePatience
	cause    string      // why a copy could not be written; empty: all is well
}

// storeConfig is where a store keeps registrations and what it needs for that.
type storeConfig struct {
	dir      string // empty: nowhere
	edges    int    // how many registrations there may be
	log      *slog.Logger
	now      func() time.Time
	boot     func() uint64  // the boot count when there is none to go on from
	failures *atomic.Uint64 // counts writes that failed
	disk     journal.Disk
	released <-chan struct{} // closed when the files are ours; nil: they are
	remade   func()          // is told that the directory was made again, with no mutex held; nil: nobody is
}

// newStore returns a store that has nothing open.
func newStore(cfg storeConfig) *store {
	return &store{
		cfg: cfg, wake: make(chan struct{}, 1), urgent: make(chan struct{}, 1),
		dirty: make(map[recordKey][]byte), state: storeState{copies: 2},
	}
}

// openStore opens the journal in the directory and counts one more boot. With an empty
// directory nothing is kept. What is damaged is set aside, and is no reason not to start:
// what both copies lost comes back with the edges. The boot count goes on from a random
// one then, since no index of a past boot may look like one of this.
func openStore(cfg storeConfig) (s *store, boot uint64, err error) {
	s = newStore(cfg)
	if cfg.dir == "" {
		return s, cfg.boot(), nil
	}
	if err := os.MkdirAll(cfg.dir, 0o700); err != nil {
		return nil, 0, err
	}
	if s.state.from, err = findRestoration(cfg.dir); err != nil {
		return nil, 0, err
	}
	if s.journal, s.found, err = openJournal(cfg); err != nil {
		return nil, 0, err
	}
	s.tellFound()
	if boot = s.found.Boot + 1; s.state.lost || s.state.from.is() || s.found.Boot == 0 && !s.found.Missing {
		boot = cfg.boot()
	}
	s.note(s.journal.Begin(boot, s.opened()))
	return s, boot, nil
}

// openJournal opens the journal, and waits for a predecessor that is about to end.
func openJournal(cfg storeConfig) (j *journal.Journal, found journal.Contents, err error) {
	for wait := time.Duration(0); ; wait += storeLock / 20 {
		j, found, err = journal.Open(journal.Config{Dir: cfg.dir, RecordLen: storeRecord, Disk: cfg.disk, Now: cfg.now})
		switch {
		case !errors.Is(err, filelock.ErrLocked):
			return j, found, err
		case wait >= storeLock:
			return nil, found, errStoreInUse
		}
		time.Sleep(storeLock / 20)
	}
}

// tellFound says what was wrong with the files. There are reset keys if a supernode has
// begun here before.
func (s *store) tellFound() {
	s.state.lost = !s.found.Whole && (!s.found.Missing || exists(filepath.Join(s.cfg.dir, ResetKeysFile)))
	if s.state.lost || s.state.from.is() {
		s.state.settled = s.cfg.now().Add(returnTime)
	}
	if s.state.from.is() {
		s.cfg.log.Info("restored from a backup: edges that come back keep what they have", "made", s.state.from.made.UTC(), "registrations", len(s.found.Records))
	}
	if s.found.Missing && s.state.lost {
		s.cfg.log.Warn("the stored registrations are gone: edges that come back may get other addresses", "directory", s.cfg.dir)
	}
	for _, f := range s.found.Faults {
		attributes := []any{"file", f.Path, "damage", f.Cause}
		if f.Aside != "" {
			s.state.setAside = append(s.state.setAside, f.Aside)
			attributes = append(attributes, "set_aside", f.Aside)
		}
		if s.found.Whole {
			s.cfg.log.Warn("one of the two copies of the registrations is damaged and is written anew: nothing is lost", attributes...)
			continue
		}
		s.cfg.log.Warn("stored registrations are damaged: edges that come back may get other addresses", append(attributes, "readable", len(s.found.Records))...)
	}
}

// settled returns until when edges may not have come back whose registrations were lost;
// zero: none were.
func (s *store) settled() time.Time { return s.state.settled } // as it was opened

// opened are the records that were found.
func (s *store) opened() iter.Seq2[recordKey, []byte] {
	return func(yield func(recordKey, []byte) bool) {
		for key, record := range s.found.Records {
			if !yield(key, record) {
				return
			}
		}
	}
}

// each calls f for every stored registration, once.
func (s *store) each(f func(key recordKey, record []byte)) {
	for key, record := range s.found.Records {
		f(key, record)
	}
	s.found.Records = nil
}

// close gives the files back without writing.
func (s *store) close() {
	if s.journal != nil {
		s.journal.Close()
	}
}

// put notes the state of a registration; a nil record deletes it. The record
// is the store's from now on.
func (s *store) put(key recordKey, record []byte) {
	if s.cfg.dir == "" {
		return
	}
	s.mu.Lock()
	if len(s.dirty) >= s.cfg.edges+storeNotes {
		clear(s.dirty)
		s.overrun = true
	}
	s.dirty[key] = record
	s.mu.Unlock()
	ring(s.wake)
}

// save notes the state of a registration.
func (s *store) save(r *registration) { s.put(r.key(), r.record()) }

// erase notes that nothing is kept under a key any more.
func (s *store) erase(key recordKey) { s.put(key, nil) }

// await returns the number of the write that has all in it that was noted so far, and has
// it made soon; 0 if nobody should wait for it: nothing can be written, or it takes too long.
func (s *store) await() (write uint64) {
	if s.cfg.dir == "" {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state.copies == 0 || s.state.slow {
		return 0
	}
	s.awaited = s.writes + 1
	ring(s.urgent)
	return s.awaited
}

// run writes until done is closed, then writes what is left and closes the files.
func (s *store) run(done <-chan struct{}) {
	if s.cfg.released != nil && s.cfg.dir != "" && !s.awaitFiles(done) || s.journal == nil {
		return
	}
	defer s.close()
	for {
		select {
		case <-done:
			if s.health().cause == "" {
				s.again = s.cfg.now().Add(time.Hour) // whoever removes the directory now wants it gone
			}
			s.write()
			return
		case <-s.wake:
		case <-s.urgent:
		}
		s.write()
		select {
		case <-done:
		case <-s.urgent:
			ring(s.urgent)
		case <-time.After(storePause):
		}
	}
}

// awaitFiles waits until a predecessor has released the files, and opens them. What is put
// before waits for that, and so does whoever waits for a write. It reports false if done is
// closed and they cannot be opened.
func (s *store) awaitFiles(done <-chan struct{}) bool {
	<-s.cfg.released // to be ended before is no reason to lose what waits
	for !s.openLater() {
		select {
		case <-time.After(storeRetry):
		case <-done:
			return false
		}
	}
	return true
}

// openLater opens the journal and writes everything anew: not all that the predecessor had
// noted need be there, if it was killed.
func (s *store) openLater() bool {
	j, found, err := openJournal(s.cfg)
	if err != nil {
		s.mu.Lock()
		s.state.copies, s.state.cause = 0, err.Error()
		s.mu.Unlock()
		s.cfg.failures.Add(1)
		s.cfg.log.Warn("registrations cannot be written: leases may change at the next start", "err", err)
		s.written(1) // nobody waits any longer
		return false
	}
	s.journal = j
	j.GiveUp()
	boot := found.Boot
	if boot == 0 {
		boot = s.cfg.boot()
	}
	s.note(j.Begin(boot, s.all))
	return true
}

// check has the files looked at, and mended if something is wrong with them.
func (s *store) check() { ring(s.wake) }

// write brings everything noted to the disk, and tells when it is there, or when whoever
// waits for that should wait no longer.
func (s *store) write() {
	if s.journal == nil {
		return
	}
	s.mu.Lock()
	notes, overrun := s.dirty, s.overrun
	s.dirty, s.overrun = make(map[recordKey][]byte), false
	s.writes++
	write := s.writes
	s.mu.Unlock()
	patience := time.AfterFunc(storePatience, func() {
		s.mu.Lock()
		s.state.slow = true
		s.mu.Unlock()
		s.written(write + 1)
	})
	if overrun {
		s.journal.GiveUp()
	}
	s.note(s.commit(notes))
	if s.state.from.is() && !s.cfg.now().Before(s.settled()) && s.cfg.disk.Remove(s.state.from.path) == nil {
		s.mu.Lock()
		s.state.from = restoration{}
		s.mu.Unlock()
	}
	patience.Stop()
	s.mu.Lock()
	s.state.slow = false
	s.mu.Unlock()
	s.written(write)
}

// commit writes notes, and everything anew if it is time for that.
func (s *store) commit(notes map[recordKey][]byte) (err error) {
	if len(notes) > 0 {
		err = s.journal.Write(notes)
	} else {
		err = s.journal.Check()
	}
	now := s.cfg.now()
	if !s.journal.Full() || now.Before(s.again) {
		return err
	}
	if err := s.makeDir(); err != nil {
		s.again = now.Add(storeRetry)
		return err
	}
	err = s.journal.Rewrite(s.all)
	took := s.cfg.now().Sub(now)
	s.again = now.Add(max(storeRetry, storeEffort*took))
	return err
}

// makeDir makes the state directory again if it was removed, with the files that belong
// to it.
func (s *store) makeDir() error {
	if _, err := os.Stat(s.cfg.dir); !errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := os.MkdirAll(s.cfg.dir, 0o700); err != nil {
		return err
	}
	s.mu.Lock()
	kept := maps.Clone(s.kept)
	s.mu.Unlock()
	for name, content := range kept {
		if err := durable.ReplaceOn(s.cfg.disk, filepath.Join(s.cfg.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if s.cfg.remade != nil {
		s.cfg.remade()
	}
	return nil
}

// note notes how a write went, and says it when that changes.
func (s *store) note(err error) {
	copies := s.journal.Copies()
	s.mu.Lock()
	was := s.state
	s.state.copies = copies
	switch {
	case err != nil:
		s.state.cause = err.Error()
	case copies == 2:
		s.state.cause = ""
	}
	is := s.state
	s.mu.Unlock()
	if err != nil {
		s.cfg.failures.Add(1)
	}
	switch {
	case is.copies == was.copies && (is.cause == "") == (was.cause == ""):
	case is.copies == 0:
		s.cfg.log.Warn("registrations cannot be written: leases may change at the next start", "err", is.cause)
	case is.cause != "":
		s.cfg.log.Warn("one of the two copies of the registrations cannot be written", "err", is.cause)
	case was.cause != "":
		s.cfg.log.Info("registrations are written again")
	}
}

// health returns what status says of the files.
func (s *store) health() storeState {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state
}

// keep notes the other files of the state directory, and where those of them are now that
// were damaged at the start.
func (s *store) keep(kept map[string][]byte, setAside ...string) {
	s.kept = kept
	for _, path := range setAside {
		if path != "" {
			s.state.setAside = append(s.state.setAside, path)
		}
	}
}

// replaceKept notes that files of the state directory are others now.
func (s *store) replaceKept(files map[string][]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	maps.Copy(s.kept, files)
}

// asideText returns the files that were set aside and are still there.
func (s storeState) asideText() string {
	var there []string
	for _, path := range s.setAside {
		if durable.IsAside(path) {
			there = append(there, path)
		}
	}
	return strings.Join(there, ", ")
}

// sentence says what is wrong with the files now; empty: nothing.
func (s *store) sentence() string {
	is := s.health()
	switch {
	case is.copies == 0:
		return fmt.Sprintf("registrations cannot be written to %s: leases may change at the next start (%s). Look at 'df %[1]s' and at who owns it.", s.cfg.dir, is.cause)
	case is.cause != "":
		return fmt.Sprintf("one of the two copies of the registrations in %s cannot be written (%s). Look at 'df %[1]s' and at who owns it.", s.cfg.dir, is.cause)
	case is.slow:
		return fmt.Sprintf("the disk of %s takes more than %v to write: registrations may be lost at a sudden end.", s.cfg.dir, storePatience)
	}
	return ""
}

// asideSentence says what was damaged at the start; empty: nothing, or the operator has removed
// what was set aside.
func (s storeState) asideSentence() string {
	files := s.asideText()
	switch {
	case s.lost && len(s.setAside) == 0:
		return "the stored registrations were gone at the start: edges that come back may have got other addresses. Look at the disk and at who may write to the state directory."
	case files == "":
		return ""
	case s.lost:
		return fmt.Sprintf("stored registrations were damaged at the start and are now %s: edges that come back may have got other addresses. Look at the disk, and remove what was set aside.", files)
	}
	return fmt.Sprintf("a file of the state directory was damaged at the start and is now %s: nothing was lost, since there is a copy. Look at the disk, and remove what was set aside.", files)
}
