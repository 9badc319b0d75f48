package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var (
	// testName matches the name of a test, a benchmark or a fuzz target; a star stands for
	// any end.
	testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*\*?`)
	// declaration matches where one is declared.
	declaration = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w*)\(`)
	// testOption matches where an option of tests is.
	testOption = regexp.MustCompile(`flag\.\w+\("([\w.-]+)"`)
	// ownImport matches the import of a package of ours, which may declare options, too.
	ownImport = regexp.MustCompile(`"hedgerow/([\w/]+)"`)
)

// A suite is the tests of one folder.
type suite struct {
	names   []string // of tests, benchmarks and fuzz targets
	options []string
}

// suites are all of them, by folder.
var suites = sync.OnceValue(func() map[string]suite {
	found := make(map[string]suite)
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		folder, _ := filepath.Rel(root, filepath.Dir(path))
		folder = filepath.ToSlash(folder)
		s := found[folder]
		s.names = append(s.names, first(declaration.FindAllSubmatch(b, -1))...)
		s.options = append(s.options, first(testOption.FindAllSubmatch(b, -1))...)
		for _, imported := range first(ownImport.FindAllSubmatch(b, -1)) {
			s.options = append(s.options, optionsOf(imported)...)
		}
		found[folder] = s
		return err
	})
	return found
})

// optionsOf returns the options that a package declares for the tests that import it.
func optionsOf(folder string) (list []string) {
	files, _ := filepath.Glob(filepath.Join(root, folder, "*.go"))
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil && !strings.HasSuffix(path, "_test.go") {
			list = append(list, first(testOption.FindAllSubmatch(b, -1))...)
		}
	}
	return list
}

// first returns the first group of each match.
func first(matches [][][]byte) (list []string) {
	for _, m := range matches {
		list = append(list, string(m[1]))
	}
	return list
}

// suiteOf returns the tests of a package, "x/..." being x and all below it.
func suiteOf(path string) (all suite) {
	above, below := strings.CutSuffix(path, "...")
	for folder, s := range suites() {
		if folder == path || below && strings.HasPrefix(folder+"/", above) {
			all.names = append(all.names, s.names...)
			all.options = append(all.options, s.options...)
		}
	}
	return all
}

// Every test that a document names is there.
func TestTestNames(t *testing.T) {
	all := suiteOf("...").names
	var found []string
	for _, d := range documents(t) {
		for i, line := range d.lines {
			for _, name := range testName.FindAllString(line, -1) {
				if slices.Contains(found, name) {
					continue
				}
				found = append(found, name)
				begins, open := strings.CutSuffix(name, "*")
				if !slices.ContainsFunc(all, func(s string) bool { return s == name || open && strings.HasPrefix(s, begins) }) {
					t.Errorf("%s:%d: there is no %s", d.path, i+1, name)
				}
			}
		}
	}
	if len(found) < 100 {
		t.Errorf("only %d tests are named", len(found))
	}
}

// Of every program that a test is skipped without, .ci/needs says so before the tests run.
func TestNeeds(t *testing.T) {
	needs, err := os.ReadFile(filepath.Join(root, ".ci", "needs"))
	if err != nil {
		t.Fatal(err)
	}
	asked := regexp.MustCompile(`lab\.Program\([\w.]+, "([\w-]+)", "([\w-]+)"\)`)
	found := 0
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range asked.FindAllSubmatch(b, -1) {
			found++
			line := regexp.MustCompile(fmt.Sprintf(`(?m)^missing %s ".*" %s$`, m[1], m[2]))
			if !line.Match(needs) {
				t.Errorf("%s needs %s of the package %s, and .ci/needs does not say so", path, m[1], m[2])
			}
		}
		return err
	})
	if err != nil || found < 10 {
		t.Errorf("%d tests need a program: %v", found, err)
	}
}
