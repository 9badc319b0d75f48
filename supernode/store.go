package supernode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

const (
	// storeFile is the name of the database in the state directory.
	storeFile = "registrations.db"
	// storePause is the shortest time between two writes: what changes within
	// it shares one. The first change after a quiet time is written at once.
	storePause = 200 * time.Millisecond
	// storeLock is how long the start waits for a predecessor to let go of
	// the database.
	storeLock = 2 * time.Second
)

var (
	bucketRegistrations = []byte("registrations")
	bucketMeta          = []byte("meta")
	keyBoot             = []byte("boot")
)

// errStoreInUse says that another process has the state directory open.
var errStoreInUse = errors.New("the state directory is in use by another supernode")

// store keeps registrations on disk. put never waits: it notes the newest
// state of a registration, and one goroutine writes what was noted. The notes
// are bounded by the registry, one for each registration.
type store struct {
	db   *bbolt.DB
	log  *slog.Logger
	wake chan struct{}

	failing bool // the last write failed; the writer's own

	mu    sync.Mutex
	dirty map[recordKey][]byte // nil: delete
}

// openStore opens the database in dir and counts one more boot. With an empty
// dir nothing is kept and boot is 0.
func openStore(dir string, log *slog.Logger) (s *store, boot uint64, err error) {
	s = &store{log: log, wake: make(chan struct{}, 1), dirty: make(map[recordKey][]byte)}
	if dir == "" {
		return s, 0, nil
	}
	path := filepath.Join(dir, storeFile)
	s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{Timeout: storeLock})
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, 0, fmt.Errorf("open %s: %w", path, errStoreInUse)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("open %s: %w", path, err)
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		if _, err := tx.CreateBucketIfNotExists(bucketRegistrations); err != nil {
			return err
		}
		meta, err := tx.CreateBucketIfNotExists(bucketMeta)
		if err != nil {
			return err
		}
		if b := meta.Get(keyBoot); len(b) == 8 {
			boot = binary.BigEndian.Uint64(b)
		}
		boot++
		return meta.Put(keyBoot, binary.BigEndian.AppendUint64(nil, boot))
	})
	if err != nil {
		_ = s.db.Close()
		return nil, 0, fmt.Errorf("count the boot in %s: %w", path, err)
	}
	return s, boot, nil
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
	s.dirty[key] = record
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

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
			_ = s.db.Close()
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
	if len(notes) == 0 {
		return
	}
	err := s.db.Update(func(tx *bbolt.Tx) error {
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
	if err == nil {
		s.failing = false
		return
	}
	if !s.failing {
		s.log.Warn("registrations cannot be written: leases may change at the next start", "error", err)
	}
	s.failing = true
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, record := range notes {
		if _, newer := s.dirty[key]; !newer {
			s.dirty[key] = record
		}
	}
}
