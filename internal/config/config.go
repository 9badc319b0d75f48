package config

import (
	"os"
	"slices"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
)

// Dir is the directory of the files that are read without being named.
const Dir = "/etc/hedgerow"

// Program is a command that is configured by options, variables and a file.
type Program struct {
	// Name is the name of the command; in capitals, it begins its variables.
	Name string
	// Env reads the environment.
	Env cli.Environment
	// Flags returns the options of "run", made anew.
	Flags func() []ucli.Flag
	// Default returns the file that is read if it exists and no other is named; empty:
	// none.
	Default func(c *ucli.Context) string
	// Aliases are further variables of a key, behind its own.
	Aliases map[string][]string
	// Reads are the keys whose variables the command reads itself.
	Reads []string
	// Choices are the options that exclude each other.
	Choices []Choice
	// Parse reads the options of a command line with Overlay, and does nothing else.
	Parse func(c *ucli.Context) error
}

// Choice are options of which one is chosen. What the command line or the environment
// chooses makes the others not count that the file has.
type Choice struct {
	Options   []string // the names by which the command reads them
	Variables []string // that choose as well, and are the value of no option
}

// FileFlag is the option --config.
func FileFlag() ucli.Flag {
	return &ucli.StringFlag{Name: fileOption, Usage: "read further options from `FILE`, which is TOML; docs/configuration.md lists its keys. An empty name reads none"}
}

// Origins of a value.
const (
	FromFlag        = "flag"
	FromEnvironment = "environment"
	FromFile        = "file"
	FromDefault     = "default"
)

// Source is where a value comes from.
type Source struct {
	Kind string // one of the origins
	Name string // of the variable, or FILE:LINE
}

// String returns what "config show" says of it.
func (s Source) String() string {
	switch s.Kind {
	case FromEnvironment:
		return s.Kind + " " + s.Name
	case FromFile:
		return s.Name
	}
	return s.Kind
}

// value is what an option is set to, as the command line would have it.
type value struct {
	texts  []string
	source Source
}

// setting is an option with its value.
type setting struct {
	option
	value
}

// Overlay sets the options that the command line does not give from the environment and
// from the file, and has parse read them. Its error has the faults of all three, each with
// the place where it is mended.
func (p Program) Overlay(c *ucli.Context, parse func() error) error {
	var faults cli.Faults
	settings := p.settings(c, &faults)
	for _, s := range settings {
		if s.source.Kind == FromEnvironment || s.source.Kind == FromFile {
			if err := s.set(c, p.Reads); err != nil {
				faults.Add(err)
			}
		}
	}
	broken := faults.Err() != nil
	for _, fault := range list(parse()) {
		said, ok := explain(fault, settings)
		// What is missing may be what could not be read.
		if ok || !broken {
			faults.Add(said)
		}
	}
	return faults.Err()
}

// set gives the option its value in c, as the command line would have.
func (s setting) set(c *ucli.Context, reads []string) error {
	if s.source.Kind == FromEnvironment && slices.Contains(reads, s.key) {
		return nil
	}
	cli.SetOrigin(c, s.name, s.source.Name)
	names := s.flag.Names()
	texts := s.texts
	switch s.kind {
	case several:
		names = names[:1] // which share their values
	case level:
		texts = repeated(s.texts[0])
	}
	for _, name := range names {
		for _, text := range texts {
			if err := c.Set(name, text); err != nil {
				return err
			}
		}
	}
	return nil
}

// repeated returns a switch as often as it counts.
func repeated(text string) []string {
	n, err := strconv.Atoi(text)
	if on, boolErr := strconv.ParseBool(text); err != nil && boolErr == nil && on {
		n = 1
	}
	return slices.Repeat([]string{"true"}, min(n, mostVerbose))
}

// mostVerbose is how often it helps to say -v.
const mostVerbose = 2

// settings returns all options with their values.
func (p Program) settings(c *ucli.Context, faults *cli.Faults) []setting {
	all := options(p.Flags())
	var fromFile map[string]value
	if path := p.path(c); path != "" {
		fromFile = readFile(path, all, faults)
	}
	chosen := make(map[string]bool) // names of options
	settings := make([]setting, len(all))
	for _, f := range p.Flags() {
		if cli.Given(c, f.Names()[0]) {
			chosen[f.Names()[0]] = true
		}
	}
	flagged := p.excluded(chosen, nil)
	for i, o := range all {
		settings[i] = setting{option: o, value: value{source: Source{Kind: FromDefault}}}
		if chosen[o.name] {
			settings[i].value = given(c, o)
		} else if v, ok := p.variable(o, faults); ok && !flagged[o.name] {
			settings[i].value = v
		}
	}
	for _, s := range settings {
		if s.source.Kind == FromEnvironment {
			chosen[s.name] = s.kind != toggle || s.texts[0] == "true"
		}
	}
	outdone := p.excluded(chosen, p.Env)
	for i := range settings {
		s := &settings[i]
		if v, ok := fromFile[s.key]; ok && s.source.Kind == FromDefault && !outdone[s.name] {
			s.value = v
		}
	}
	return settings
}

// excluded returns the options beside which another one is chosen, or a variable that
// chooses.
func (p Program) excluded(chosen map[string]bool, env cli.Environment) map[string]bool {
	out := make(map[string]bool)
	for _, choice := range p.Choices {
		taken := slices.ContainsFunc(choice.Options, func(name string) bool { return chosen[name] })
		if env != nil && !taken {
			_, name := env.First(choice.Variables...)
			taken = name != ""
		}
		for _, name := range choice.Options {
			out[name] = out[name] || taken
		}
	}
	return out
}

// given returns what the command line says.
func given(c *ucli.Context, o option) value {
	v := value{source: Source{Kind: FromFlag}}
	switch o.kind {
	case toggle:
		v.texts = []string{strconv.FormatBool(cli.Bool(c, o.name))}
	case level:
		v.texts = []string{strconv.Itoa(cli.Count(c, o.name))}
	case several:
		v.texts = cli.Strings(c, o.name)
	default:
		text, _ := cli.String(c, o.name)
		v.texts = []string{text}
	}
	return v
}

// variables returns the names of an option's variables.
func (p Program) variables(key string) []string {
	return append([]string{p.variableOf(key)}, p.Aliases[key]...)
}

// variableOf returns the name of the variable of a key.
func (p Program) variableOf(key string) string {
	return strings.ToUpper(p.Name + "_" + strings.ReplaceAll(key, "-", "_"))
}

// variable returns what the environment says. The values of a list have commas between
// them.
func (p Program) variable(o option, faults *cli.Faults) (v value, ok bool) {
	text, name := p.Env.First(p.variables(o.key)...)
	if name == "" {
		return v, false
	}
	v = value{texts: []string{text}, source: Source{Kind: FromEnvironment, Name: name}}
	switch on, err := strconv.ParseBool(text); {
	case o.kind == several:
		v.texts = v.texts[:0]
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				v.texts = append(v.texts, item)
			}
		}
	case o.kind == level && err != nil:
		if n, numberErr := strconv.Atoi(text); numberErr != nil || n < 0 {
			faults.Addf("%s is %q: set it to a number, such as 1, or to nothing", name, text)
			return v, false
		}
	case o.kind == toggle && err != nil:
		faults.Addf("%s is %q: set it to true or false, or to nothing", name, text)
		return v, false
	case o.kind == toggle:
		v.texts[0] = strconv.FormatBool(on)
	}
	return v, true
}

// path returns the file that is to be read; empty: none.
func (p Program) path(c *ucli.Context) string {
	if path, ok := cli.String(c, fileOption); ok {
		return path
	}
	if path := p.Env(p.variableOf(fileOption)); path != "" {
		return path
	}
	path := p.Default(c)
	if path == "" {
		return ""
	}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return ""
	}
	return path
}

// Positional returns a command line whose one argument is a file, as n2n has it, with the
// option that names it. A command of that name comes first.
func (p Program) Positional(args []string, commands []*ucli.Command) []string {
	if len(args) != 2 || args[1] == "" || args[1][0] == '-' {
		return args
	}
	if slices.ContainsFunc(commands, func(cmd *ucli.Command) bool { return cmd.HasName(args[1]) }) {
		return args
	}
	if state, err := os.Stat(args[1]); err != nil || !state.Mode().IsRegular() {
		return args
	}
	return []string{args[0], "--" + fileOption + "=" + args[1]}
}
