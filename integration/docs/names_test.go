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

// awaited are files, folders and counters that the documents name and that come
// with the rooms of the edge. What is there is taken out of the list.
var awaited = []string{}

// exists reports whether there is a file or a folder in the checkout, or will be.
func exists(path string) bool { return onDisk(path) || slices.Contains(awaited, path) }

func onDisk(path string) bool {
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

// counted reports whether the code has a counter of a name, or will have.
func counted(name string) bool { return inCode(name) || slices.Contains(awaited, name) }

func inCode(name string) bool {
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

// What was awaited and has come is not awaited any more.
func TestAwaited(t *testing.T) {
	for _, name := range awaited {
		if onDisk(name) || strings.HasPrefix(name, "handshake-") && inCode(name) {
			t.Errorf("%s is there: take it out of the list", name)
		}
	}
}
