package transport

import (
	"errors"
	"fmt"
	"syscall"
)

// InUseError says that another socket has the UDP port (error E16).
type InUseError struct {
	// Port is the wanted port.
	Port uint16
	// PID is the process that has it, 0 when the system does not tell.
	PID int
	// Command is that process's command line, shortened for display.
	Command string
	// Err is the refused bind.
	Err error
}

// InUse returns the InUseError of a UDP port that err, the refused bind, says another
// socket has; ok is false if it says something else.
func InUse(port uint16, err error) (e *InUseError, ok bool) {
	if !errors.Is(err, syscall.EADDRINUSE) && !addressInUse(err) {
		return nil, false
	}
	e = &InUseError{Port: port, Err: err}
	e.PID, e.Command, _ = Holder(port)
	return e, true
}

// Error returns the sentence with its number in brackets.
func (e *InUseError) Error() string {
	return fmt.Sprintf("UDP port %d is taken by %s. Use -p 0 for any free port. [E16]", e.Port, e.By())
}

// By says who has the port, as words of a sentence.
func (e *InUseError) By() string {
	if e.PID == 0 {
		return "another process"
	}
	return fmt.Sprintf("pid %d (%s)", e.PID, e.Command)
}

// Unwrap returns the refused bind, so that errors.Is(err, syscall.EADDRINUSE)
// works.
func (e *InUseError) Unwrap() error { return e.Err }
