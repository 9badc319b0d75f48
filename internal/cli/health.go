package cli

import (
	"errors"
	"fmt"
	"io"

	"hedgerow/internal/format"
)

// Health ends a command that a monitor runs: Docker's HEALTHCHECK, monit, a script. It
// writes "ok", or each note on a line of its own, and returns nil or an error with the exit
// code Failure. err is why the running program did not answer, which is Failure, too: what
// monitors make of other codes differs.
func Health(w io.Writer, notes []string, err error) error {
	if err != nil {
		var known *Error
		if !errors.As(err, &known) {
			return Errorf(Failure, "", "%w", err)
		}
		return &Error{Code: Failure, ID: known.ID, Text: known.Text, Err: known}
	}
	if len(notes) == 0 {
		_, err := fmt.Fprintln(w, "ok")
		return err
	}
	for _, note := range notes {
		if _, err := fmt.Fprintln(w, format.Printable(note)); err != nil {
			return err
		}
	}
	return Errorf(Failure, "", "not healthy: %s", format.Count(len(notes), "note"))
}
