package filelock

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockAt is where the locked byte is: behind any content, since a locked
// range cannot be read by the process that wants to name the holder.
const lockAt = 1 << 30

// Try takes an exclusive lock on f that ends when f is closed. It fails with ErrLocked if
// somebody has it.
func Try(f *os.File) error {
	at := windows.Overlapped{Offset: lockAt}
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}
