package cli

import (
	"slices"

	"github.com/urfave/cli/v2"
)

// String returns the value of option name, and whether it was given, wherever
// it was given: "edge -c x run" and "edge run -c x" mean the same. The
// library alone would let a sub-command's unset option hide the one before it.
func String(c *cli.Context, name string) (value string, ok bool) {
	for _, scope := range c.Lineage() {
		if given(scope, name) {
			return scope.String(name), true
		}
	}
	return "", false
}

// Strings returns all values of an option that may be repeated, in the order
// of the command line.
func Strings(c *cli.Context, name string) []string {
	var all []string
	for _, scope := range slices.Backward(c.Lineage()) {
		if given(scope, name) {
			all = append(all, scope.StringSlice(name)...)
		}
	}
	return all
}

// Bool reports whether the switch name was given and is on.
func Bool(c *cli.Context, name string) bool {
	for _, scope := range c.Lineage() {
		if given(scope, name) {
			return scope.Bool(name)
		}
	}
	return false
}

// Count returns how often the switch made by VerboseFlag was given.
func Count(c *cli.Context, name string) int {
	n := 0
	for _, scope := range c.Lineage() {
		if given(scope, name) {
			n += scope.Count(name)
		}
	}
	return n
}

// given reports whether an option was given to the very command of scope. The
// last scope of a lineage is the empty one of the library.
func given(scope *cli.Context, name string) bool {
	return scope.App != nil && slices.Contains(scope.LocalFlagNames(), name)
}

// Given reports whether an option was given at all, by whichever of its names.
func Given(c *cli.Context, name string) bool {
	return slices.ContainsFunc(c.Lineage(), func(scope *cli.Context) bool { return given(scope, name) })
}

// origins is where the origins of values are among what an app keeps.
const origins = "origins"

// SetOrigin notes where the value of an option comes from that was set though the command
// line did not give it: the name of a variable, or a file and its line. name is the one by
// which the value is read.
func SetOrigin(c *cli.Context, name, origin string) {
	if c.App.Metadata == nil {
		c.App.Metadata = make(map[string]any)
	}
	known, _ := c.App.Metadata[origins].(map[string]string)
	if known == nil {
		known = make(map[string]string)
		c.App.Metadata[origins] = known
	}
	known[name] = origin
}

// Origin returns what SetOrigin has noted of an option; empty: it is the command line's, or
// was not given.
func Origin(c *cli.Context, name string) string {
	known, _ := c.App.Metadata[origins].(map[string]string)
	return known[name]
}

// VerboseFlag is -v, which may be repeated: -vv says more than -v. It is made
// anew for every command, since it holds its own count.
func VerboseFlag() cli.Flag {
	return &cli.BoolFlag{Name: "v", Count: new(int), DisableDefaultText: true, Usage: "say more; -vv says still more"}
}

// JSONFlag is --json, for commands that print a document.
func JSONFlag() cli.Flag {
	return &cli.BoolFlag{Name: "json", Usage: "print JSON", DisableDefaultText: true}
}

// ControlFlag is --control; usage says more than that it is the path of the control
// socket, or nothing.
func ControlFlag(usage string) cli.Flag {
	return &cli.StringFlag{Name: "control", Usage: "`PATH` of the control socket" + usage}
}

// Environment reads environment variables: os.Getenv, or a test's table.
type Environment func(name string) string

// First returns the value of the first of names that is set to something, and
// its name. A variable that is set to nothing counts as not set.
func (env Environment) First(names ...string) (value, name string) {
	for _, name := range names {
		if v := env(name); v != "" {
			return v, name
		}
	}
	return "", ""
}
