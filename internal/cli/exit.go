package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"hedgerow/internal/limit"
)

// Code is a process exit code. The numbers are part of the interface: scripts
// and service managers act on them.
type Code int

const (
	// OK is a clean end.
	OK Code = 0
	// Failure is an error while running.
	Failure Code = 1
	// Usage is a wrong command line, environment or file.
	Usage Code = 2
	// Permission is a missing permission or a missing device.
	Permission Code = 3
	// Refused is an authentication or a claim that the other side refused.
	Refused Code = 4
	// Unreachable means that no supernode could be reached. A process that
	// stays in the background never ends with it.
	Unreachable Code = 5
	// Temporary is a failure that goes away by itself (EX_TEMPFAIL of BSD's
	// sysexits.h).
	Temporary Code = 75
)

// Error is a failure that ends a command: a sentence for the user, and an exit
// code for a script.
type Error struct {
	// Code is the exit code.
	Code Code
	// ID is the number of the message (docs/debugging.md, "Numbers of messages"),
	// "E16", or empty.
	ID string
	// Text says what happened, why most likely, and what to do.
	Text string
	// Err is the cause, if there is one; it is not printed.
	Err error
}

// Error returns the sentence with its number in brackets.
func (e *Error) Error() string {
	if e.ID == "" {
		return e.Text
	}
	return e.Text + " [" + e.ID + "]"
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an Error with a formatted sentence. A cause given for the
// verb %w is kept.
func Errorf(code Code, id, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Code: code, ID: id, Text: err.Error(), Err: errors.Unwrap(err)}
}

// Failed returns err as the end of a command, with advice behind its text: a missing
// permission exits with Permission, anything else with Failure.
func Failed(err error, advice string) *Error {
	text := err.Error()
	if advice != "" {
		text += ". " + advice
	}
	code := Failure
	if errors.Is(err, fs.ErrPermission) {
		code = Permission
	}
	return &Error{Code: code, Text: text, Err: err}
}

// Faults collects everything that is wrong with a command line, so that
// the user corrects it in one go. Its zero value is ready.
type Faults struct{ list []error }

// Add notes one fault; a nil err is no fault.
func (f *Faults) Add(err error) {
	if err != nil {
		f.list = append(f.list, err)
	}
}

// Addf notes one fault, formatted.
func (f *Faults) Addf(format string, args ...any) { f.Add(fmt.Errorf(format, args...)) }

// Err returns nil without any fault, and otherwise an error with exit code
// Usage, or with the code of the first fault that names one of its own.
func (f *Faults) Err() error {
	if len(f.list) == 0 {
		return nil
	}
	lines := make([]string, len(f.list))
	code := Usage
	for i, err := range f.list {
		lines[i] = err.Error()
		var own *Error
		if code == Usage && errors.As(err, &own) {
			code = own.Code
		}
	}
	return &Error{Code: code, Text: strings.Join(lines, "\n"), Err: errors.Join(f.list...)}
}

// CodeOf returns the exit code for err: OK for nil, the code of the Error
// inside, and Failure for any other error.
func CodeOf(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return OK
	case errors.As(err, &e):
		return e.Code
	}
	return Failure
}

// Print writes err for the user, each of its lines behind the program's name, what to do
// about a limit of the machine that it comes from, and for wrong usage where to read more.
func Print(w io.Writer, program string, err error) {
	if err == nil {
		return
	}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		fmt.Fprintf(w, "%s: %s\n", program, line)
	}
	if advice := limit.Advice(err); advice != "" {
		fmt.Fprintf(w, "%s: %s\n", program, advice)
	}
	if CodeOf(err) == Usage {
		fmt.Fprintf(w, "Try '%s --help'.\n", program)
	}
}
