package config

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"

	"hedgerow/crypto"
	"hedgerow/internal/cli"
	"hedgerow/internal/textfile"
)

// maxFile bounds a file of configuration in bytes.
const maxFile = crypto.MaxKeyFile

// entry is a key of a file with its value as TOML has it.
type entry struct {
	key  string
	data any
	line int
}

// catch takes a value as it was decoded. That it ends with an error makes the decoder say
// where the value stands.
type catch struct{ data any }

var errCaught = errors.New("caught")

// UnmarshalTOML takes the value.
func (c *catch) UnmarshalTOML(data any) error {
	c.data = data
	return errCaught
}

// readEntries reads the file at path; its entries are in the order of their lines.
func readEntries(path string) ([]entry, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s has more than %d bytes: that is no file of configuration", path, maxFile)
	}
	source, err := textfile.Decode(b)
	if err != nil {
		return nil, fmt.Errorf("%s, %w", path, err)
	}
	var raw map[string]toml.Primitive
	md, err := toml.Decode(source, &raw)
	if err != nil {
		return nil, syntax(path, err)
	}
	entries := make([]entry, 0, len(raw))
	for key, value := range raw {
		data, line := locate(md, value)
		entries = append(entries, entry{key: key, data: data, line: line})
	}
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Or(a.line-b.line, strings.Compare(a.key, b.key)) })
	return entries, nil
}

// syntax says where a file is no TOML.
func syntax(path string, err error) error {
	var parse toml.ParseError
	if !errors.As(err, &parse) {
		return fmt.Errorf("%s is not TOML: %w", path, err)
	}
	return fmt.Errorf("%s:%d: this is not TOML: %s", path, parse.Position.Line, parse.Message)
}

// locate returns a value and its line. A table that no line of its own begins is where the
// first of its keys is.
func locate(md toml.MetaData, value toml.Primitive) (any, int) {
	var c catch
	var parse toml.ParseError
	if err := md.PrimitiveDecode(value, &c); errors.As(err, &parse) && parse.Position.Line > 0 {
		return c.data, parse.Position.Line
	}
	var inner map[string]toml.Primitive
	line := math.MaxInt
	if md.PrimitiveDecode(value, &inner) == nil {
		for _, v := range inner {
			_, at := locate(md, v)
			line = min(line, at)
		}
	}
	if line == math.MaxInt {
		line = 1
	}
	return c.data, line
}

// readFile returns the values of a file by their keys, and notes what is wrong with it.
func readFile(path string, all []option, faults *cli.Faults) map[string]value {
	entries, err := readEntries(path)
	if err != nil {
		faults.Addf("the configuration cannot be read: %w", err)
		return nil
	}
	values := make(map[string]value)
	private := true
	for _, e := range entries {
		at := path + ":" + strconv.Itoa(e.line)
		i := slices.IndexFunc(all, func(o option) bool { return o.key == e.key })
		if i < 0 || isTable(e.data) {
			faults.Addf("%s: %s", at, unknown(e, all))
			continue
		}
		texts, ok := textsOf(all[i], e.data)
		if !ok {
			faults.Addf("%s: %s %s: write %s", at, e.key, mistyped(all[i], e.data), all[i].expected())
			continue
		}
		if all[i].secret(texts) && private {
			if err := crypto.CheckKeyFile(path); err != nil {
				faults.Addf("%s: %s is a secret, and the file is not private: %w", at, e.key, err)
				private = false
			}
		}
		values[e.key] = value{texts: texts, source: Source{Kind: FromFile, Name: at}}
	}
	return values
}

// unknown says what is wrong with a key that no option has.
func unknown(e entry, all []option) string {
	switch table := isTable(e.data); {
	case table && e.key == "community":
		return "[community.NAME] is not read: one process is a member of one community. Give each community a file, and an edge, of its own"
	case table:
		return fmt.Sprintf("there is no table %q: keys stand in the file without one", e.key)
	}
	var known []string
	for _, o := range all {
		if slices.Contains(o.flag.Names(), e.key) {
			return fmt.Sprintf("there is no key %q: the key of this option is %q", e.key, o.key)
		}
		known = append(known, o.key)
	}
	if best, ok := cli.Suggest(e.key, known); ok {
		return fmt.Sprintf("there is no key %q. Did you mean %q?", e.key, best)
	}
	return fmt.Sprintf("there is no key %q: docs/configuration.md lists them", e.key)
}

// isTable reports whether a value is a table, or an array of them.
func isTable(data any) bool {
	switch data.(type) {
	case map[string]any, []map[string]any:
		return true
	}
	return false
}

// textsOf returns a value as the command line would have it; ok is false if it is not of
// the option's kind.
func textsOf(o option, data any) (texts []string, ok bool) {
	switch data := data.(type) {
	case bool:
		return []string{strconv.FormatBool(data)}, o.kind == toggle || o.kind == level
	case int64:
		numeric := o.kind == number || o.kind == level && data >= 0 || o.kind == several && isNumber(o.flag)
		return []string{strconv.FormatInt(data, 10)}, numeric
	case string:
		return []string{data}, o.kind == text || o.kind == number || o.kind == several
	case []any:
		for _, item := range data {
			if _, nested := item.([]any); nested {
				return nil, false
			}
			one, good := textsOf(o, item)
			if !good {
				return nil, false
			}
			texts = append(texts, one...)
		}
		return texts, o.kind == several
	}
	return nil, false
}

// mistyped says what is wrong with a value that is not of its option's kind.
func mistyped(o option, data any) string {
	items, array := data.([]any)
	if !array || o.kind != several {
		return "is " + describe(data)
	}
	wrong := slices.IndexFunc(items, func(item any) bool {
		_, nested := item.([]any)
		_, ok := textsOf(o, item)
		return nested || !ok
	})
	return "holds " + describe(items[wrong])
}

// describe says what a value is in TOML, without showing it.
func describe(data any) string {
	switch data.(type) {
	case bool:
		return "a boolean"
	case int64:
		return "an integer"
	case float64:
		return "a number with a fraction"
	case string:
		return "a string"
	case []any:
		return "an array"
	}
	return "a date or time"
}
