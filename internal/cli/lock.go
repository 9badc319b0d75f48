package cli

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"hedgerow/internal/filelock"
)

// ErrLocked says that another process holds the lock of a state directory.
var ErrLocked = filelock.ErrLocked

// Lock makes dir with mode 0700 and takes the lock in it, so that no two
// processes share an identity, a port and the files beside them. The lock ends
// with release or with the process. When another process holds it, the error
// is ErrLocked and names that process.
func Lock(dir string) (release func(), err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the state directory: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
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
	// The process id is a courtesy for the message above.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return func() { _ = f.Close() }, nil
}

// lockedError is ErrLocked with the names of both sides.
type lockedError struct{ dir, holder string }

// Error names the directory and the process that has it.
func (e *lockedError) Error() string { return e.dir + " is in use by " + e.holder }

// Is makes the error an ErrLocked.
func (e *lockedError) Is(target error) bool { return target == ErrLocked }
