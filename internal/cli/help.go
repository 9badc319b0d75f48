package cli

import (
	"strings"

	"github.com/urfave/cli/v2"
)

// flagLine is an option's line in the help: "-l, --supernode HOST:PORT", and
// behind a tab what it does. The library would repeat the value behind every
// name and print repeatable options twice.
func flagLine(f cli.Flag) string {
	d, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return ""
	}
	names := make([]string, len(f.Names()))
	for i, name := range f.Names() {
		names[i] = dashed(name)
	}
	// Short names first, whichever of them the code uses.
	if len(names) == 2 && len(names[0]) > len(names[1]) {
		names[0], names[1] = names[1], names[0]
	}
	line := strings.Join(names, ", ")
	value, usage := Placeholder(d.GetUsage())
	if value != "" {
		line += " " + value
	}
	if text := strings.Trim(d.GetDefaultText(), `"`); text != "" && d.TakesValue() {
		usage += " (default: " + text + ")"
	}
	return line + "\t" + usage
}

// Placeholder returns the word between grave accents in a usage text, which names
// the option's value, and the text without the accents.
func Placeholder(usage string) (value, plain string) {
	before, rest, ok := strings.Cut(usage, "`")
	if !ok {
		return "", usage
	}
	value, after, ok := strings.Cut(rest, "`")
	if !ok {
		return "", usage
	}
	return value, before + value + after
}
