package transport

import "fmt"

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

// Error returns the sentence with its number in brackets.
func (e *InUseError) Error() string {
	by := "another process"
	if e.PID != 0 {
		by = fmt.Sprintf("pid %d (%s)", e.PID, e.Command)
	}
	return fmt.Sprintf("UDP port %d is taken by %s. Use -p 0 for any free port. [E16]", e.Port, by)
}

// Unwrap returns the refused bind, so that errors.Is(err, syscall.EADDRINUSE)
// works.
func (e *InUseError) Unwrap() error { return e.Err }
