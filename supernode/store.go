package supernode

import (
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/bbolt"
)

const (
	// storeFile is the name of the database in the state directory.
	storeFile = "registrations.db"
	// storePause is the shortest time between two writes: what changes within
	// it shares one. The first change after a quiet time is written at once.
	storePause = 200 * time.Millisecond
	// storeNotes is how many registrations that are gone may still have to be removed
	// from the disk.
	storeNotes = 65536
)

// recordKey is where a registration is kept: its community and MAC.
type recordKey [16 + 6]byte

// store keeps registrations on disk. put never waits: it notes the newest
// state of a registration, and one goroutine writes what was noted. The notes
// are bounded: one for each registration, and some for those that are gone. While the
// disk refuses to be written, more of these are not noted, and end by their time.
type store struct {
	dir      string
	db       *bbolt.DB // nil: nothing is kept
	maxNotes int       // that wait to be written
	log      *slog.Logger
	wake     chan struct{}
	setAside string         // where the damaged database of the start is now; empty: it was not
	failures *atomic.Uint64 // writes that failed
	failing  atomic.Bool    // the last write did

	// The writer's own:
	broken bool // the library panicked: nothing more is written, and it is not closed

	mu    sync.Mutex
	dirty map[recordKey][]byte // nil: delete
}

// storeConfig is where a store keeps registrations and what it needs for that.
type storeConfig struct {
	dir      string // empty: nowhere
	edges    int    // how many registrations there may be
	log      *slog.Logger
	now      func() time.Time // names what is set aside
	boot     func() uint64    // the boot count when there is none to go on from
	failures *atomic.Uint64   // counts writes that failed
}

// openStore opens the database in dir and counts one more boot. With an empty
// dir nothing is kept. A damaged database is set aside: what it held is lost, but
// edges register again by themselves, so it is no reason not to start. The boot
// count goes on from a random one then, since no index of a past boot may look
// like one of this.
func openStore(cfg storeConfig) (s *store, boot uint64, err error) {
	s = &store{dir: cfg.dir, maxNotes: cfg.edges + storeNotes, log: cfg.log, failures: cfg.failures, wake: make(chan struct{}, 1), dirty: make(map[recordKey][]byte)}
	if cfg.dir == "" {
		return s, cfg.boot(), nil
	}
	path := filepath.Join(cfg.dir, storeFile)
	s.db, boot, err = openDatabase(path, func() uint64 { return 0 })
	var damage *damagedError
	if !errors.As(err, &damage) {
		return s, boot, err
	}
	if s.setAside, err = setAside(path, cfg.now()); err != nil {
		s.log.Warn("the stored registrations are damaged, and none are kept: move the file away and start again",
			"file", path, "damage", damage.cause, "err", err)
		return s, cfg.boot(), nil
	}
	s.log.Warn("the stored registrations are damaged: the file was set aside, and edges that come back may get other addresses",
		"file", s.setAside, "damage", damage.cause)
	s.db, boot, err = openDatabase(path, cfg.boot)
	return s, boot, err
}

// each calls f for every stored registration. The record is borrowed until f
// returns.
func (s *store) each(f func(key recordKey, record []byte)) error {
	if s.db == nil {
		return nil
	}
	return s.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketRegistrations).ForEach(func(k, v []byte) error {
			var key recordKey
			if copy(key[:], k) == len(key) && len(k) == len(key) {
				f(key, v)
			}
			return nil
		})
	})
}

// close gives the database back without writing.
func (s *store) close() error {
	if s.db == nil {
		return nil
	}
	return s.db.Close()
}

// put notes the state of a registration; a nil record deletes it. The record
// is the store's from now on.
func (s *store) put(key recordKey, record []byte) {
	if s.db == nil {
		return
	}
	s.mu.Lock()
	if _, noted := s.dirty[key]; noted || record != nil || len(s.dirty) < s.maxNotes {
		s.dirty[key] = record
	}
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// save notes the state of a registration.
func (s *store) save(r *registration) { s.put(r.key(), r.record()) }

// erase notes that nothing is kept under a key any more.
func (s *store) erase(key recordKey) { s.put(key, nil) }

// run writes until done is closed, then writes what is left and closes the
// database.
func (s *store) run(done <-chan struct{}) {
	if s.db == nil {
		return
	}
	for {
		select {
		case <-done:
			s.write()
			if !s.broken {
				_ = s.db.Close()
			}
			return
		case <-s.wake:
		}
		s.write()
		select {
		case <-done:
		case <-time.After(storePause):
		}
	}
}

// write brings everything noted to disk in one transaction. What fails is
// noted again, unless a newer state has been.
func (s *store) write() {
	s.mu.Lock()
	notes := s.dirty
	s.dirty = make(map[recordKey][]byte)
	s.mu.Unlock()
	if len(notes) == 0 || s.broken {
		return
	}
	err := guarded(func() error { return s.update(notes) })
	if err == nil {
		s.failing.Store(false)
		return
	}
	s.failures.Add(1)
	var damage *damagedError
	if errors.As(err, &damage) {
		s.broken = true
	}
	if !s.failing.Load() {
		s.log.Warn("registrations cannot be written: leases may change at the next start", "err", err)
	}
	s.failing.Store(true)
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, record := range notes {
		if _, newer := s.dirty[key]; !newer && (record != nil || len(s.dirty) < s.maxNotes) {
			s.dirty[key] = record
		}
	}
}

// update writes notes in one transaction.
func (s *store) update(notes map[recordKey][]byte) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket(bucketRegistrations)
		for key, record := range notes {
			var err error
			if record == nil {
				err = b.Delete(key[:])
			} else {
				err = b.Put(key[:], record)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}
