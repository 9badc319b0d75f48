package docs

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testName matches the name of a test, a benchmark or a fuzz target; a star stands for
// any end.
var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark)[A-Z]\w*\*?`)

// Every test that a document names is there.
func TestTestNames(t *testing.T) {
	var found []string
	for _, d := range documents(t) {
		for i, line := range d.lines {
			for _, name := range testName.FindAllString(line, -1) {
				if slices.Contains(found, name) {
					continue
				}
				found = append(found, name)
				begins, open := strings.CutSuffix(name, "*")
				if !open {
					begins += "("
				}
				if !mentions(root, "func "+begins, "_test.go") {
					t.Errorf("%s:%d: there is no %s", d.path, i+1, name)
				}
			}
		}
	}
	if len(found) < 100 {
		t.Errorf("only %d tests are named", len(found))
	}
}
