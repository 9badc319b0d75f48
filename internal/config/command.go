package config

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/format"
)

// effectiveOption is the option that shows what is not set, too.
const effectiveOption = "effective"

// Command is "config" with its sub-commands.
func (p Program) Command() *ucli.Command {
	return &ucli.Command{
		Name: fileOption, Usage: "check a file of configuration, or show what is set and where",
		Subcommands: []*ucli.Command{
			{Name: "check", Usage: "say what is wrong with a file, and exit with 2 if anything is", ArgsUsage: "[FILE]", Flags: p.Flags(), Action: p.check},
			{Name: "show", Usage: "show each option that is set, and where it is", ArgsUsage: "[FILE]", Flags: p.showFlags(), Action: p.show},
		},
	}
}

// showFlags are the options of "config show".
func (p Program) showFlags() []ucli.Flag {
	return append(p.Flags(), cli.JSONFlag(), &ucli.BoolFlag{Name: effectiveOption, Usage: "show the options that are not set, too", DisableDefaultText: true})
}

// Arguments makes the FILE of "config check" and "config show" the option that names it.
func (p Program) Arguments(args []string) []string {
	if len(args) < 3 || args[1] != fileOption {
		return args
	}
	rest := cli.ArgumentOption(args[1:], "check", p.Flags(), fileOption)
	rest = cli.ArgumentOption(rest, "show", p.showFlags(), fileOption)
	return slices.Concat(args[:1], rest)
}

// check is "config check".
func (p Program) check(c *ucli.Context) error {
	path := p.path(c)
	if path == "" {
		return cli.Errorf(cli.Usage, "", "there is no file to check: name it, as in '%s config check FILE'", p.Name)
	}
	if err := p.Parse(c); err != nil {
		return err
	}
	_, err := fmt.Fprintf(c.App.Writer, "%s: nothing is wrong\n", format.Printable(path))
	return err
}

// Setting is one line of "config show".
type Setting struct {
	// Key is the key of the option.
	Key string `json:"key"`
	// Value is what it is set to: a text, or texts if it may be repeated; a secret is
	// "***". Of what is not set it is what holds then, as the help says it, or null.
	Value any `json:"value"`
	// Source is "flag", "environment NAME", "FILE:LINE" or "default".
	Source string `json:"source"`
}

// show is "config show".
func (p Program) show(c *ucli.Context) error {
	var faults cli.Faults
	settings := p.settings(c, &faults)
	if err := faults.Err(); err != nil {
		return err
	}
	lines := make([]Setting, 0, len(settings))
	for _, s := range settings {
		if s.source.Kind != FromDefault || cli.Bool(c, effectiveOption) {
			lines = append(lines, Setting{Key: s.key, Value: s.shown(), Source: s.source.String()})
		}
	}
	if cli.Bool(c, "json") {
		return cli.PrintJSON(c.App.Writer, lines)
	}
	return printSettings(c.App.Writer, lines)
}

// shown returns the value for people and programs to see.
func (s setting) shown() any {
	switch {
	case s.source.Kind == FromDefault:
		if text := s.fallback(); text != "" {
			return text
		}
		return nil
	case s.secret(s.texts):
		return masked
	case s.kind == several:
		return s.texts
	}
	return s.texts[0]
}

// printSettings writes the table for people.
func printSettings(w io.Writer, lines []Setting) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "KEY\tVALUE\tSOURCE")
	for _, l := range lines {
		value := "-"
		switch v := l.Value.(type) {
		case string:
			value = v
		case []string:
			value = strings.Join(v, ", ")
		}
		fmt.Fprintf(table, "%s\t%s\t%s\n", l.Key, format.Printable(value), format.Printable(l.Source))
	}
	return table.Flush()
}

// Reference returns the table of the keys in Markdown.
func (p Program) Reference() string {
	var b strings.Builder
	b.WriteString("| Key | Value | Variable | Meaning |\n| --- | --- | --- | --- |\n")
	for _, o := range options(p.Flags()) {
		variables := p.variables(o.key)
		fmt.Fprintf(&b, "| `%s` | %s | `%s` | %s |\n", o.key, o.expected(), strings.Join(variables, "`, `"), strings.ReplaceAll(usage(o.flag), "|", `\|`))
	}
	return b.String()
}
