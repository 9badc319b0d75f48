package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"hedgerow/internal/filelock"
)

// ErrLocked says that another process holds the lock of a state directory.
var ErrLocked = filelock.ErrLocked

// Lock makes dir with mode 0700 and takes the lock in it, so that no two
// processes share an identity, a port and the files beside them. The lock ends
// when the file is closed, also by the end of the process, and in every process that has
// inherited it. When another process holds it, the error is ErrLocked and names that
// process. Where nothing can be written (EROFS) a directory that was locked before is locked
// as well: what is kept there can be read.
func Lock(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, syscall.EROFS) {
		if old, failed := os.Open(path); failed == nil {
			f, err = old, nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	if err := filelock.Try(f); err != nil {
		holder := "another process"
		var text [16]byte
		n, _ := f.ReadAt(text[:], 0)
		if pid, e := strconv.Atoi(strings.TrimSpace(string(text[:n]))); e == nil {
			holder = fmt.Sprintf("pid %d", pid)
		}
		_ = f.Close()
		if errors.Is(err, ErrLocked) {
			return nil, &lockedError{dir: dir, holder: holder}
		}
		return nil, fmt.Errorf("lock the state directory: %w", err)
	}
	SignLock(f)
	return f, nil
}

// SignLock writes into a lock which process holds it: this one. It is a courtesy for the
// message of Lock.
func SignLock(f *os.File) {
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
}

// lockedError is ErrLocked with the names of both sides.
type lockedError struct{ dir, holder string }

// Error names the directory and the process that has it.
func (e *lockedError) Error() string { return e.dir + " is in use by " + e.holder }

// Is makes the error an ErrLocked.
func (e *lockedError) Is(target error) bool { return target == ErrLocked }
