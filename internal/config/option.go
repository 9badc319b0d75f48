package config

import (
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
)

// fileOption is the option that names the file. It has no key.
const fileOption = "config"

// longNames are the keys of options that have no long name.
var longNames = map[string]string{"v": "verbose"}

// secrets are the keys whose values nobody but the owner may see.
var secrets = []string{"key", "obfs-key", "turn-secret"}

// numbers are what values are called, in the help, that may be written as integers.
var numbers = []string{"BYTES", "COST", "COUNT", "N", "PORT", "PPS"}

// masked stands for a secret.
const masked = "***"

// kind is what the value of an option may be.
type kind uint8

const (
	text kind = iota
	number
	toggle
	level // how often a switch is given
	several
)

// option is an option of the command line with its key.
type option struct {
	flag ucli.Flag
	key  string
	name string // by which the command reads it
	kind kind
}

// options returns the options that have a key, in the order of the help. Those of a
// single letter that repeat another one have none, nor have hidden ones.
func options(flags []ucli.Flag) (all []option) {
	for _, f := range flags {
		if v, ok := f.(ucli.VisibleFlag); ok && !v.IsVisible() {
			continue
		}
		o := option{flag: f, name: f.Names()[0]}
		for _, name := range f.Names() {
			if len(name) > 1 && o.key == "" {
				o.key = name
			}
		}
		if o.key == "" {
			o.key = longNames[o.name]
		}
		if o.key == "" || o.key == fileOption {
			continue
		}
		o.kind = kindOf(f)
		all = append(all, o)
	}
	return all
}

// kindOf returns what the value of an option may be.
func kindOf(f ucli.Flag) kind {
	switch f := f.(type) {
	case *ucli.BoolFlag:
		if f.Count != nil {
			return level
		}
		return toggle
	case *ucli.StringSliceFlag:
		return several
	}
	if isNumber(f) {
		return number
	}
	return text
}

// isNumber reports whether the value may be written as an integer.
func isNumber(f ucli.Flag) bool {
	value, _ := cli.Placeholder(usage(f))
	return slices.Contains(numbers, value)
}

// usage returns what the help says of an option.
func usage(f ucli.Flag) string {
	d, _ := f.(ucli.DocGenerationFlag)
	return d.GetUsage()
}

// expected says what a file may have for the option.
func (o option) expected() string {
	switch {
	case o.kind == toggle:
		return "true or false"
	case o.kind == level:
		return "an integer, or true or false"
	case o.kind == several && isNumber(o.flag):
		return "an integer, a string, or an array of them"
	case o.kind == several:
		return "a string or an array of strings"
	case o.kind == number:
		return "an integer or a string"
	}
	return "a string"
}

// secret reports whether a value of the option is one: a key, or an address with a
// password in it.
func (o option) secret(values []string) bool {
	return slices.Contains(secrets, o.key) ||
		o.key == "http-proxy" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, "@") })
}

// fallback returns what holds without a value, as far as the help says.
func (o option) fallback() string {
	if o.kind == toggle {
		return "false"
	}
	if o.kind == level {
		return "0"
	}
	_, plain := cli.Placeholder(usage(o.flag))
	_, text, _ := strings.Cut(plain, "default: ")
	return text
}
