package docs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// terms returns the words of the first column of the tables of terms, each
// as often as it stands there.
func terms(text string) (list []string) {
	table := false
	for line := range strings.Lines(text) {
		first, _, cell := strings.Cut(strings.TrimPrefix(line, "| "), " |")
		switch {
		case !strings.HasPrefix(line, "|"):
			table = false
		case first == "Term":
			table = true
		case table && cell && !strings.HasPrefix(line, "|-"):
			list = append(list, strings.Split(first, ", ")...)
		}
	}
	return list
}

// Every word of the glossary is explained once.
func TestGlossary(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root, "docs/glossary.md"))
	if err != nil {
		t.Fatal(err)
	}
	times := make(map[string]int)
	for _, term := range terms(string(b)) {
		if times[term]++; times[term] == 2 {
			t.Errorf("%q is explained twice", term)
		}
	}
	if len(times) < 100 {
		t.Errorf("only %d words are explained", len(times))
	}
}
