package supernode

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime/debug"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// storeLock is how long the start waits for a predecessor to let go of the database.
const storeLock = 2 * time.Second

// errStoreInUse says that another process has the state directory open.
var errStoreInUse = errors.New("the state directory is in use by another supernode")

var (
	bucketRegistrations = []byte("registrations")
	bucketMeta          = []byte("meta")
	keyBoot             = []byte("boot")
)

// damagedError says that a file is no database, or no longer a whole one.
type damagedError struct {
	cause    error // how that showed
	panicked bool  // the library panicked, so that it may still hold its locks
}

func (e *damagedError) Error() string { return "damaged: " + e.cause.Error() }
func (e *damagedError) Unwrap() error { return e.cause }

// openDatabase opens the database at path, makes sure that everything in it can be
// read, and counts one more boot, from first on in a new one. It fails with a
// damagedError if what is there cannot be used, with errStoreInUse, and with what
// the system says: no permission, no space.
func openDatabase(path string, first func() uint64) (db *bbolt.DB, boot uint64, err error) {
	if state, err := os.Stat(path); err == nil && state.Mode().IsRegular() && state.Size() == 0 {
		// The library would begin a new database in it, and nobody would know.
		return nil, 0, fmt.Errorf("open %s: %w", path, &damagedError{cause: errors.New("the file is empty")})
	}
	var file *os.File
	options := bbolt.Options{Timeout: storeLock, OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
		file, err = os.OpenFile(name, flag, mode)
		return file, err
	}}
	err = guarded(func() error {
		if db, err = bbolt.Open(path, 0o600, &options); err != nil {
			return err
		}
		if err := readAll(db, file); err != nil {
			return err
		}
		return db.Update(func(tx *bbolt.Tx) error {
			boot, err = countBoot(tx, first)
			return err
		})
	})
	if err == nil {
		return db, boot, nil
	}
	var damage *damagedError
	if isDamage(err) && !errors.As(err, &damage) {
		damage = &damagedError{cause: err}
		err = damage
	}
	switch {
	case errors.Is(err, bbolterrors.ErrTimeout):
		err = errStoreInUse
	case db != nil && (damage == nil || !damage.panicked):
		_ = db.Close()
	case file != nil:
		_ = file.Close() // gives back the lock of the file, and leaves its mapping
	}
	return nil, 0, fmt.Errorf("open %s: %w", path, err)
}

// countBoot counts one more boot.
func countBoot(tx *bbolt.Tx, first func() uint64) (boot uint64, err error) {
	if _, err := tx.CreateBucketIfNotExists(bucketRegistrations); err != nil {
		return 0, err
	}
	meta, err := tx.CreateBucketIfNotExists(bucketMeta)
	if err != nil {
		return 0, err
	}
	if b := meta.Get(keyBoot); len(b) == 8 {
		boot = binary.BigEndian.Uint64(b)
	} else {
		boot = first()
	}
	boot++
	return boot, meta.Put(keyBoot, binary.BigEndian.AppendUint64(nil, boot))
}

// readAll reads every byte of a database once. Its pages have no checksums, so
// damage shows by a page that makes no sense, on which the library panics, or by
// one that lies behind the end of the file.
func readAll(db *bbolt.DB, file *os.File) error {
	return db.View(func(tx *bbolt.Tx) error {
		state, err := file.Stat()
		if err != nil {
			return err
		}
		if tx.Size() > state.Size() {
			return &damagedError{cause: fmt.Errorf("the file ends after %d of %d bytes", state.Size(), tx.Size())}
		}
		var copied []byte
		return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				copied = append(append(copied[:0], k...), v...)
				return nil
			})
		})
	})
}

// isDamage reports whether an error of the library is about what the file holds,
// and not about what the system allows.
func isDamage(err error) bool {
	var path *fs.PathError
	var number syscall.Errno
	return !errors.Is(err, bbolterrors.ErrTimeout) && !errors.As(err, &path) && !errors.As(err, &number)
}

// guarded calls f and returns a panic as a damagedError. The library panics on a
// page that makes no sense; reading a page behind the end of the file is a fault of
// memory, which is made a panic here.
func guarded(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &damagedError{cause: fmt.Errorf("%v", p), panicked: true}
		}
	}()
	return f()
}

// setAside renames a damaged file and returns its new name.
func setAside(path string, now time.Time) (string, error) {
	aside := path + ".damaged-" + now.UTC().Format("20060102T150405.000Z")
	if err := os.Rename(path, aside); err != nil {
		return "", fmt.Errorf("set the damaged file aside: %w", err)
	}
	return aside, nil
}
