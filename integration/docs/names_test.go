package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// exists reports whether there is a file or a folder in the checkout.
func exists(path string) bool {
	_, err := os.Stat(filepath.Join(root, path))
	return err == nil
}

// mentions reports whether a file below a folder whose name ends as told has a
// text in it.
func mentions(folder, text, ending string) bool {
	found := false
	_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ending) {
			return err
		}
		b, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(b), text) {
			found = true
			return fs.SkipAll
		}
		return err
	})
	return found
}

// inside matches a file or a folder of the checkout.
var inside = regexp.MustCompile(`^(?:crypto|docs|edge|handshake|integration|internal|nat|protocol|supernode|tap|transport|\.ci)(?:/[a-z0-9_-]+)+(?:\.[a-z]+)?$`)

// Every file and folder that a document names is there.
func TestPaths(t *testing.T) {
	found := 0
	for _, d := range documents(t) {
		for _, s := range d.code() {
			if inside.MatchString(s.text) {
				found++
				if !exists(s.text) {
					t.Errorf("%s:%d: there is no %s", d.path, s.line, s.text)
				}
			}
		}
	}
	if found == 0 {
		t.Error("no document names a file")
	}
}

// counted reports whether the code has a counter of a name.
func counted(name string) bool {
	name, _, _ = strings.Cut(name, "-0x")
	folders := []string{"edge", "supernode"}
	if rest, ok := strings.CutPrefix(name, "handshake-"); ok {
		name, folders = rest, []string{"handshake"}
	}
	return slices.ContainsFunc(folders, func(folder string) bool {
		return mentions(filepath.Join(root, folder), `"`+name+`"`, ".go")
	})
}

// Every counter in a table of counters is one that the code has.
func TestCounters(t *testing.T) {
	found := 0
	for _, d := range documents(t) {
		table := false
		for i, line := range d.lines {
			switch {
			case strings.HasPrefix(line, "| Counter"):
				table = true
			case !strings.HasPrefix(line, "|"):
				table = false
			case table:
				first, _, _ := strings.Cut(strings.TrimPrefix(line, "|"), "|")
				for _, m := range inline.FindAllStringSubmatch(first, -1) {
					found++
					if !counted(m[1]) {
						t.Errorf("%s:%d: nothing counts %s", d.path, i+1, m[1])
					}
				}
			}
		}
	}
	if found == 0 {
		t.Error("no document has a table of counters")
	}
}

var (
	// numberInCode matches the number of a message where it is said.
	numberInCode = regexp.MustCompile(`\[(E\d\d[a-z]?)\]|"(E\d\d[a-z]?)"`)
	// number matches one in a document.
	number = regexp.MustCompile(`\bE\d\d[a-z]?\b`)
)

// said returns the numbers of the messages of edge and supernode.
func said(t *testing.T) map[string]bool {
	t.Helper()
	found := make(map[string]bool)
	for _, folder := range []string{"edge", "internal", "supernode", "tap", "transport"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			b, err := os.ReadFile(path)
			for _, m := range numberInCode.FindAllStringSubmatch(string(b), -1) {
				found[m[1]+m[2]] = true
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return found
}

// Every number of a message is in the table of numbers, and every one in a document is
// that of a message.
func TestNumbers(t *testing.T) {
	said, listed := said(t), make(map[string]bool)
	for _, d := range documents(t) {
		table := false
		for i, line := range d.lines {
			table = strings.HasPrefix(line, "| Number") || table && strings.HasPrefix(line, "|")
			for _, n := range number.FindAllString(line, -1) {
				if !said[n] {
					t.Errorf("%s:%d: no message has the number %s", d.path, i+1, n)
				}
				listed[n] = listed[n] || table
			}
		}
	}
	for n := range said {
		if !listed[n] {
			t.Errorf("no document says of what messages with the number %s are", n)
		}
	}
	if len(said) == 0 {
		t.Error("no message has a number")
	}
}
