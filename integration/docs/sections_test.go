package docs

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// lineBreak matches where a comment goes on in the next line.
	lineBreak = regexp.MustCompile(`\n\s*//\s*`)
	// numbered matches a reference to sections of the protocol.
	numbered = regexp.MustCompile(`PROTOCOL\.md, sections? (\d+)(?: (?:to|and) (\d+))?`)
	// titled matches a reference to a section of another document by its title.
	titled = regexp.MustCompile(`docs/([A-Za-z-]+\.md), "([^"]+)"`)
	// heading matches the heading of a section.
	heading = regexp.MustCompile(`(?m)^#+ (?:(\d+)\. )?(.*)$`)
)

// headings returns the numbers and the titles of the sections of a document.
func headings(t *testing.T, name string) map[string]bool {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", name))
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, m := range heading.FindAllStringSubmatch(string(b), -1) {
		found[m[1]], found[m[2]] = true, true
	}
	return found
}

// Every section of a document that a comment in the code names is there.
func TestSections(t *testing.T) {
	protocol, found := headings(t, "PROTOCOL.md"), 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		text := lineBreak.ReplaceAllString(string(b), " ")
		for _, m := range numbered.FindAllStringSubmatch(text, -1) {
			found++
			for _, n := range m[1:] {
				if n != "" && !protocol[n] {
					t.Errorf("%s: PROTOCOL.md has no section %s", path, n)
				}
			}
		}
		for _, m := range titled.FindAllStringSubmatch(text, -1) {
			found++
			if !headings(t, m[1])[m[2]] {
				t.Errorf("%s: %s has no section %q", path, m[1], m[2])
			}
		}
		return nil
	})
	if err != nil || found == 0 {
		t.Errorf("%d references, %v", found, err)
	}
}
