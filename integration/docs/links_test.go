package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// link matches the target of a Markdown link.
var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

// Every link that is not to somebody else's place leads to a file of the checkout,
// and to a heading of it where it names one.
func TestLinks(t *testing.T) {
	found := 0
	for _, d := range documents(t) {
		for i, line := range d.prose() {
			for _, m := range link.FindAllStringSubmatch(line, -1) {
				if strings.Contains(m[1], "://") {
					continue
				}
				found++
				if !resolves(t, d, m[1]) {
					t.Errorf("%s:%d: %s leads nowhere", d.path, i+1, m[1])
				}
			}
		}
	}
	if found == 0 {
		t.Error("no document has a link")
	}
}

// resolves reports whether a relative link of a document leads somewhere.
func resolves(t *testing.T, d document, target string) bool {
	t.Helper()
	file, fragment, _ := strings.Cut(target, "#")
	path := filepath.Join(root, d.path)
	if file != "" {
		path = filepath.Join(filepath.Dir(path), filepath.FromSlash(file))
	}
	if fragment == "" {
		_, err := os.Stat(path)
		return err == nil
	}
	b, err := os.ReadFile(path)
	return err == nil && slices.Contains(anchors(string(b)), fragment)
}

// anchors returns the fragments by which the headings of a Markdown text are
// reached: in lower case, without punctuation, with hyphens for spaces.
func anchors(text string) (list []string) {
	for _, line := range strings.Split(text, "\n") {
		title := strings.TrimLeft(line, "#")
		if title == line || !strings.HasPrefix(title, " ") {
			continue
		}
		list = append(list, strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-', r == '_', r >= '0' && r <= '9', r >= 'a' && r <= 'z', r > 127:
				return r
			}
			return -1
		}, strings.ToLower(strings.TrimSpace(title))))
	}
	return list
}

func TestAnchors(t *testing.T) {
	text := "# 1 Keys\n## What, and why?\nno # heading\n#none\n### A-b `c`\n"
	want := []string{"1-keys", "what-and-why", "a-b-c"}
	if got := anchors(text); !slices.Equal(got, want) {
		t.Errorf("anchors are %q, not %q", got, want)
	}
}
