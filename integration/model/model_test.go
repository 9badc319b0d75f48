package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// dir is the directory of the model, seen from here.
const dir = "../../docs/model"

func TestExpand(t *testing.T) {
	files := fstest.MapFS{
		"a": {Data: []byte("1\n#ifdef X\n2\n#ifdef Y\n3\n#else\n4\n#endif\n#else\n5\n#ifndef Y\n6\n#endif\n#endif\n#include \"b\"\n")},
		"b": {Data: []byte("7\n")},
	}
	for flags, want := range map[string]string{"": "1567", "X": "1247", "Y": "157", "X Y": "1237"} {
		got, err := expand(files, "a", strings.Fields(flags))
		if err != nil || strings.ReplaceAll(got, "\n", "") != want {
			t.Errorf("%q: %q, %v; want %s", flags, got, err, want)
		}
	}
	for _, bad := range []string{"#ifdef X\n", "#include \"a\"\n", "#else\n", "#endif\n", "#if X\n#endif\n", "#include \"c\"\n"} {
		if _, err := expand(fstest.MapFS{"a": {Data: []byte(bad)}}, "a", nil); err == nil {
			t.Errorf("%q expands", bad)
		}
	}
}

func readModel(t *testing.T) (cases []Case, text string) {
	t.Helper()
	files := os.DirFS(dir)
	cases, err := readCases(files)
	if err != nil {
		t.Fatal(err)
	}
	paths, err := filepath.Glob(filepath.Join(dir, "*.pv"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b)
	}
	return cases, text
}

// Each case asks queries that the model has, one at a time, and no query and no flag of
// the model is left out.
func TestCases(t *testing.T) {
	cases, text := readModel(t)
	used := make(map[string]bool)
	asks := regexp.MustCompile(`(?m)^query `)
	for _, c := range cases {
		if len(c.Queries) == 0 {
			t.Errorf("%s: asks nothing", c.Name)
		}
		for _, f := range c.Flags {
			used[f] = true
		}
		for _, q := range c.Queries {
			used[q.Name] = true
			model, err := c.expand(os.DirFS(dir), q)
			if err != nil {
				t.Fatalf("%s: %v", c.Name, err)
			}
			if n := len(asks.FindAllString(model, -1)); n != 1 {
				t.Errorf("%s: %s asks %d queries", c.Name, q.Name, n)
			}
		}
	}
	known := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#ifn?def (\S+)$`).FindAllStringSubmatch(text, -1) {
		known[m[1]] = true
	}
	for f := range known {
		if !used[f] {
			t.Errorf("no case has %s", f)
		}
	}
	for f := range used {
		if !known[f] {
			t.Errorf("the model knows no %s", f)
		}
	}
}

// A planted flaw is there to be found: by a query that is proved where it is not planted.
func TestFlawsAreFound(t *testing.T) {
	cases, _ := readModel(t)
	proved := make(map[string]bool)
	for _, c := range cases {
		if flaws(c) == 0 {
			for _, q := range c.Queries {
				proved[q.Name] = proved[q.Name] || q.Want == Proved
			}
		}
	}
	planted := 0
	for _, c := range cases {
		if flaws(c) == 0 {
			continue
		}
		planted++
		found := false
		for _, q := range c.Queries {
			found = found || q.Want == Refuted && proved[q.Name]
		}
		if !found {
			t.Errorf("%s: no query that holds without it is refuted", c.Name)
		}
	}
	if planted < 10 {
		t.Errorf("%d flaws are planted", planted)
	}
}

func flaws(c Case) (n int) {
	for _, f := range c.Flags {
		if strings.HasPrefix(f, "FLAW_") {
			n++
		}
	}
	return n
}

// What checked.txt speaks of is the model as it is. Whoever changes it has ProVerif check
// it again: make model MODEL=-record.
func TestChecked(t *testing.T) {
	want, err := digestOf(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, recordFile))
	if err != nil {
		t.Fatal(err)
	}
	if got, _, _ := strings.Cut(string(b), "\n"); got != want {
		t.Errorf("%s is of %s, the model is %s: run make model MODEL=-record", recordFile, got, want)
	}
}

// A run fails when one answer is another one than it has to be, and when ProVerif fails.
func TestRun(t *testing.T) {
	model := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		t.Helper()
		path := filepath.Join(model, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(modelFile, "#ifdef a\nquery a.\n#endif\n#ifdef b\nquery b.\n#endif\n", 0o600)
	write(casesFile, "case one: # of two\na true\nb false\n", 0o600)
	const summary = "#!/bin/sh\necho 'Query x is true.'; echo 'Verification summary:'; echo\n"
	for _, c := range []struct {
		name, program string
		fails         bool
	}{
		{"right", summary + "if grep -q 'query a' \"$1\"; then echo 'Query x is true.'; else echo 'Query x is false.'; fi", false},
		{"all is proved", summary + "echo 'Query x is true.'", true},
		{"nothing is proved", summary + "echo 'Query x cannot be proved.'", true},
		{"no answer", summary, true},
		{"two answers", summary + "echo 'Query x is true.'; echo 'Query x is true.'", true},
		{"no summary", "#!/bin/sh\necho 'Query x is true.'", true},
		{"failure", "#!/bin/sh\nexit 2", true},
	} {
		o := options{dir: model, proverif: write("proverif", c.program+"\n", 0o700), timeout: time.Minute}
		if err := run(o, io.Discard); (err != nil) != c.fails {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
