package format

import (
	"strings"
	"unicode"
)

// Printable returns s with every character that a terminal might act on, or
// that would end the line, replaced by U+FFFD. Names from the network pass
// through it before they are shown.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, s)
}
