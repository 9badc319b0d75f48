package tap

import (
	"errors"
	"io/fs"
	"net"
	"syscall"
)

// OpenError is why a device could not be opened or set up, as a sentence for
// the person who typed the command: what happened, the likely cause, what to
// do.
type OpenError struct {
	// Code is the number of the sentence in the catalogue of errors, "E01" to
	// "E05", or empty for a failure that the catalogue does not list.
	Code string
	// Sentence says it in words and ends with a full stop.
	Sentence string
	// Errno is what the system answered; 0 when it was not asked.
	Errno syscall.Errno
}

// Error returns the sentence, with the code in brackets behind it for searching.
func (e *OpenError) Error() string {
	if e.Code == "" {
		return e.Sentence
	}
	return e.Sentence + " [" + e.Code + "]"
}

// Unwrap returns Errno, so that errors.Is(err, syscall.EBUSY) and
// errors.Is(err, fs.ErrPermission) work, or nil without one.
func (e *OpenError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// ErrClosed is what ReadBatch and WriteBatch return once Close was called. It
// matches both net.ErrClosed and fs.ErrClosed (os.ErrClosed), so that a loop
// over devices and sockets needs one test.
var ErrClosed error = closedError{}

// ErrDeleted is what ReadBatch and WriteBatch return once somebody deleted the
// interface under the open device. It does not come back: open a new one.
var ErrDeleted = errors.New("the TAP interface was deleted")

type closedError struct{}

func (closedError) Error() string { return "TAP device is closed" }

func (closedError) Is(target error) bool {
	return target == net.ErrClosed || target == fs.ErrClosed
}
