package tap

import (
	"errors"
	"io/fs"
	"net"
	"syscall"
)

// OpenError says why a device could not be opened or set up, as a sentence for
// the user: what happened, the likely cause, what to do.
type OpenError struct {
	// Code is the number of the sentence (docs/debugging.md, "Numbers of messages"),
	// "E01" to "E05" and "E30"; empty: it has none.
	Code string
	// Sentence is the message; it ends with a full stop.
	Sentence string
	// Errno is the system's answer; 0 when it was not asked.
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

// ErrClosed is the error of ReadBatch and WriteBatch after Close. It matches
// both net.ErrClosed and fs.ErrClosed (os.ErrClosed), so that a loop over
// devices and sockets needs one test.
var ErrClosed error = closedError{}

// ErrDeleted is the error of ReadBatch and WriteBatch once the interface was
// deleted under the open device. It does not come back: open a new one.
var ErrDeleted = errors.New("the TAP interface was deleted")

// ErrNoIPv6 is in the error of SetAddress where IPv6 is switched off on the interface, or
// its MTU is below the 1280 bytes that IPv6 needs.
var ErrNoIPv6 = errors.New("IPv6 is off there")

type closedError struct{}

func (closedError) Error() string { return "TAP device is closed" }

func (closedError) Is(target error) bool {
	return target == net.ErrClosed || target == fs.ErrClosed
}
