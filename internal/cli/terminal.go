package cli

import (
	"os"

	"golang.org/x/term"
)

// Terminal reports whether what is written to a stream, or read from it, is on a terminal,
// and how many columns that has; 0: they are not known.
func Terminal(stream any) (columns int, ok bool) {
	f, isFile := stream.(*os.File)
	if !isFile || !term.IsTerminal(int(f.Fd())) {
		return 0, false
	}
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0, true
	}
	return columns, true
}
