package main

import (
	"fmt"
	"io/fs"
	"strings"
)

// A template is a model with conditions. Its directives are the C preprocessor's
// (#include "file", #ifdef, #ifndef, #else, #endif), alone on a line, so cpp -P does the
// same; it is not used because it takes apostrophes in comments for characters.
type template struct {
	files fs.FS
	flags map[string]bool
	out   strings.Builder
}

// expand returns the text of a file with the conditions decided by flags.
func expand(files fs.FS, name string, flags []string) (string, error) {
	t := template{files: files, flags: make(map[string]bool)}
	for _, f := range flags {
		t.flags[f] = true
	}
	if err := t.include(name, 0); err != nil {
		return "", err
	}
	return t.out.String(), nil
}

// maxInclude is how deep files may include files.
const maxInclude = 8

func (t *template) include(name string, depth int) error {
	if depth > maxInclude {
		return fmt.Errorf("%s: includes go deeper than %d", name, maxInclude)
	}
	b, err := fs.ReadFile(t.files, name)
	if err != nil {
		return err
	}
	var open []bool // of the conditions around this line, whether each holds
	for n, line := range strings.Split(strings.TrimSuffix(string(b), "\n"), "\n") {
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case word == "#ifdef" || word == "#ifndef":
			open = append(open, t.flags[rest] == (word == "#ifdef"))
		case word == "#else" && len(open) > 0:
			open[len(open)-1] = !open[len(open)-1]
		case word == "#endif" && len(open) > 0:
			open = open[:len(open)-1]
		case !all(open):
		case word == "#include":
			if err := t.include(strings.Trim(rest, `"`), depth+1); err != nil {
				return err
			}
		case strings.HasPrefix(line, "#"):
			return fmt.Errorf("%s:%d: %q is no directive", name, n+1, line)
		default:
			t.out.WriteString(line + "\n")
		}
	}
	if len(open) > 0 {
		return fmt.Errorf("%s: a condition has no #endif", name)
	}
	return nil
}

// all reports whether every condition holds.
func all(conditions []bool) bool {
	for _, c := range conditions {
		if !c {
			return false
		}
	}
	return true
}
