package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/urfave/cli/v2"
)

// Streams are where a command reads and writes.
type Streams struct {
	In       io.Reader // for a key on "-"
	Out, Err io.Writer // documents; warnings and errors
}

// Main runs a command of this process and exits with its code. secret names the
// options whose values are blanked in the list of processes, first of all.
func Main(program string, run func(ctx context.Context, args []string, s Streams, p Place) Code, secret ...string) {
	args := TakeArgs(secret...)
	os.Exit(int(run(context.Background(), args, Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, ThisPlace(program))))
}

// Run runs app with args, whose first element is the program's name, prints
// an error if there is one, and returns the exit code. It sets what every
// command needs: version and help options, short options in one word, and
// errors instead of pages of help.
func Run(ctx context.Context, app *cli.App, args []string, s Streams) Code {
	prepare(app, s)
	err := app.RunContext(ctx, args)
	Print(s.Err, app.Name, err)
	return CodeOf(err)
}

// prepare closes the traps of urfave/cli for app and all its sub-commands.
func prepare(app *cli.App, s Streams) {
	app.Reader, app.Writer, app.ErrWriter = s.In, s.Out, s.Err
	app.UseShortOptionHandling = true
	// A value with a comma is one value: names may hold commas.
	app.DisableSliceFlagSeparator = true
	// Our own option and sub-command print the version.
	app.HideVersion = true
	// Run prints and returns the code; the library must not exit by itself.
	app.ExitErrHandler = func(*cli.Context, error) {}
	app.OnUsageError = usageError
	// The library keeps this hook in a variable; every caller sets the same.
	cli.FlagStringer = flagLine
	action := app.Action
	app.Action = func(c *cli.Context) error {
		if c.Bool("version") {
			fmt.Fprintf(c.App.Writer, "%s %s\n", c.App.Name, c.App.Version)
			return nil
		}
		return action(c)
	}
	app.Action = refuseLeftover(app.Action)
	for _, cmd := range app.Commands {
		prepareCommand(cmd)
	}
}

func prepareCommand(cmd *cli.Command) {
	cmd.OnUsageError = usageError
	cmd.HideHelpCommand = true
	cmd.CustomHelpTemplate = cli.CommandHelpTemplate + "\n" // it ends without one
	if len(cmd.Subcommands) > 0 {
		cmd.CustomHelpTemplate = cli.SubcommandHelpTemplate // which lists them
	}
	if cmd.Action != nil {
		cmd.Action = refuseLeftover(cmd.Action)
	}
	for _, sub := range cmd.Subcommands {
		prepareCommand(sub)
	}
}

// VersionFlag is -V, --version.
func VersionFlag() cli.Flag {
	return &cli.BoolFlag{Name: "version", Aliases: []string{"V"}, Usage: "print the version and exit"}
}

// refuseLeftover wraps an action that has no arguments.
func refuseLeftover(action cli.ActionFunc) cli.ActionFunc {
	return func(c *cli.Context) error {
		if c.NArg() > 0 {
			commands := c.App.Commands
			if c.Command != nil && len(c.Command.Subcommands) > 0 {
				commands = c.Command.Subcommands
			}
			return leftover(c.Args().First(), commandNames(commands))
		}
		return action(c)
	}
}

// leftover is E24: the standard library stops at the first argument that is no
// option, so everything behind it would silently have no effect.
func leftover(arg string, commands []string) error {
	const format = "unexpected argument %q: options after it would be ignored. %s"
	if best, ok := Suggest(arg, commands); ok {
		return Errorf(Usage, "E24", format, arg, fmt.Sprintf("Did you mean the sub-command %q?", best))
	}
	return Errorf(Usage, "E24", format, arg, "Remove it; the sub-commands are "+strings.Join(commands, ", ")+".")
}

func commandNames(commands []*cli.Command) []string {
	var names []string
	for _, cmd := range commands {
		if !cmd.Hidden && cmd.Name != "help" {
			names = append(names, cmd.Name)
		}
	}
	return names
}

// usageError turns a parse error of the library into one with the right exit
// code, and suggests an option for one that does not exist.
func usageError(c *cli.Context, err error, _ bool) error {
	text := err.Error()
	name, unknown := strings.CutPrefix(text, "flag provided but not defined: -")
	if !unknown {
		return &Error{Code: Usage, Text: text, Err: err}
	}
	name = strings.TrimLeft(name, "-")
	var known []string
	for _, f := range c.Command.Flags {
		if v, ok := f.(cli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		known = append(known, f.Names()...)
	}
	text = "unknown option " + dashed(name) + "."
	if best, ok := Suggest(name, known); ok {
		text += " Did you mean " + dashed(best) + "?"
	}
	return &Error{Code: Usage, Text: text, Err: err}
}

// dashed writes an option as people type it.
func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}
