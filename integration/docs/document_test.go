package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// root is the checkout's folder.
const root = "../.."

// A document is one Markdown file.
type document struct {
	path  string // relative to the root
	lines []string
}

// documents returns those of the root and of docs.
func documents(t *testing.T) (list []document) {
	t.Helper()
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			relative, err := filepath.Rel(root, path)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, document{relative, strings.Split(string(b), "\n")})
		}
	}
	if len(list) < 5 {
		t.Fatalf("there are %d documents only", len(list))
	}
	return list
}

// A snippet is a line of code in a document.
type snippet struct {
	line int // from 1
	text string
}

// inline matches what stands between backquotes.
var inline = regexp.MustCompile("`([^`]+)`")

// code returns what a document sets as code: the lines of blocks, and what stands
// between backquotes. Lines that a backslash joins are one.
func (d document) code() (list []snippet) {
	fenced := false
	prose := true // the line before was text, which an indented line goes on
	for i, line := range d.lines {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		if fenced || indented && !prose {
			if n := len(list); n > 0 && strings.HasSuffix(list[n-1].text, "\\") {
				list[n-1].text = strings.TrimSuffix(list[n-1].text, "\\") + strings.TrimSpace(line)
			} else {
				list = append(list, snippet{i + 1, strings.TrimSpace(line)})
			}
			continue
		}
		prose = strings.TrimSpace(line) != ""
		for _, m := range inline.FindAllStringSubmatch(line, -1) {
			list = append(list, snippet{i + 1, m[1]})
		}
	}
	return list
}

// prose returns a document's lines with code blanked out.
func (d document) prose() []string {
	lines := slices.Clone(d.lines)
	fenced := false
	for i, line := range lines {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fence {
			fenced = !fenced
		}
		if fence || fenced || strings.HasPrefix(line, "    ") {
			lines[i] = ""
			continue
		}
		lines[i] = inline.ReplaceAllStringFunc(line, func(s string) string { return strings.Repeat(" ", len(s)) })
	}
	return lines
}
