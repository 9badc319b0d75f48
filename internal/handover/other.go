//go:build !linux

package handover

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// errSystem says that this system cannot do it.
var errSystem = fmt.Errorf("a process cannot be replaced while it serves on this system: %w", errors.ErrUnsupported)

// Named is an open file of the predecessor and what it is.
type Named struct {
	Name string
	File *os.File
}

// Offer is what a successor is started with.
type Offer struct {
	Binary   string
	Args     []string
	Variable string
	Files    []Named
	Silence  time.Duration
}

// Successor is the process that is to take over. There is none.
type Successor struct{ Release string }

// Start returns errors.ErrUnsupported.
func Start(Offer) (*Successor, error) { return nil, errSystem }

// Pid returns 0.
func (*Successor) Pid() int { return 0 }

// Give returns errors.ErrUnsupported.
func (*Successor) Give([]byte) error { return errSystem }

// End does nothing.
func (*Successor) End() {}

// LetGo does nothing.
func (*Successor) LetGo() {}

// Predecessor is the process that this one is to take over from. There is none.
type Predecessor struct{}

// Inherit returns errors.ErrUnsupported.
func Inherit(string) (*Predecessor, error) { return nil, errSystem }

// Take returns nil.
func (*Predecessor) Take(string) *os.File { return nil }

// CloseFiles does nothing.
func (*Predecessor) CloseFiles() {}

// State returns errors.ErrUnsupported.
func (*Predecessor) State(string) ([]byte, error) { return nil, errSystem }

// Taken returns errors.ErrUnsupported.
func (*Predecessor) Taken() error { return errSystem }

// LetGo returns nil.
func (*Predecessor) LetGo() <-chan struct{} { return nil }

// Fail does nothing.
func (*Predecessor) Fail(error) {}

// Copy returns errors.ErrUnsupported.
func Copy(syscall.Conn, string) (*os.File, error) { return nil, errSystem }

// Text returns errors.ErrUnsupported.
func Text(string, []byte) (*os.File, error) { return nil, errSystem }
