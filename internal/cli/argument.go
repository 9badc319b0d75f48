package cli

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// ArgumentOption makes the argument of a sub-command, which has flags, its hidden option
// --NAME, so that it may stand before the others: the library ends at the first argument.
// What is another argument yet stays one, which is refused later. args is a command line
// with the program's name; one of another sub-command is returned as it is.
func ArgumentOption(args []string, command string, flags []cli.Flag, name string) []string {
	if len(args) < 2 || args[1] != command {
		return args
	}
	options, words := arguments(args[2:], flags)
	if len(words) > 0 {
		options = append(options, "--"+name+"="+words[0])
	}
	return slices.Concat(args[:2], options, words[min(1, len(words)):])
}

// ArgumentsOption is ArgumentOption for a sub-command that has several arguments: each is
// one value of its hidden option.
func ArgumentsOption(args []string, command string, flags []cli.Flag, name string) []string {
	if len(args) < 2 || args[1] != command {
		return args
	}
	options, words := arguments(args[2:], flags)
	for _, w := range words {
		options = append(options, "--"+name+"="+w)
	}
	return slices.Concat(args[:2], options)
}

// arguments takes what stands behind a sub-command apart: its options with their values,
// and its arguments.
func arguments(args []string, flags []cli.Flag) (options, words []string) {
	withValue := valueOptions(flags)
	for rest := args; len(rest) > 0; rest = rest[1:] {
		switch arg := rest[0]; {
		case arg == "--":
			words = append(words, rest[1:]...)
			rest = rest[len(rest)-1:]
		case len(arg) < 2 || arg[0] != '-':
			words = append(words, arg)
		case withValue[strings.TrimLeft(arg, "-")] && len(rest) > 1:
			options = append(options, arg, rest[1])
			rest = rest[1:]
		default:
			options = append(options, arg)
		}
	}
	return options, words
}

// valueOptions returns the names of the options that take a value.
func valueOptions(flags []cli.Flag) map[string]bool {
	names := make(map[string]bool)
	for _, f := range flags {
		if _, isSwitch := f.(*cli.BoolFlag); isSwitch {
			continue
		}
		for _, name := range f.Names() {
			names[name] = true
		}
	}
	return names
}
