package docs

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// programs are the commands of the product: the options of each by its
// subcommands; "" is the command itself.
type programs map[string]map[string][]string

// option matches an option where a help text lists it.
var option = regexp.MustCompile(`(?m)^\s+(-{1,2}[A-Za-z][A-Za-z0-9-]*(?:, -{1,2}[A-Za-z][A-Za-z0-9-]*)*)`)

// subcommand matches a command where a help text lists it.
var subcommand = regexp.MustCompile(`(?m)^   ([a-z]+(?:-[a-z]+)*)(?:, [a-z]+)*  +\S`)

// build builds both commands and reads their help.
func build(t *testing.T) programs {
	t.Helper()
	dir := t.TempDir()
	c := exec.Command("go", "build", "-o", dir+"/", "./edge/cmd/edge", "./supernode/cmd/supernode")
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	all := make(programs)
	for _, program := range []string{"edge", "supernode"} {
		path := filepath.Join(dir, program)
		help := ask(t, path)
		all[program] = map[string][]string{"": options(help)}
		_, list, _ := strings.Cut(help, "COMMANDS:")
		list, _, _ = strings.Cut(list, "OPTIONS:")
		for _, m := range subcommand.FindAllStringSubmatch(list, -1) {
			if m[1] == "help" {
				continue
			}
			help := ask(t, path, m[1])
			all[program][m[1]] = options(help)
			_, list, _ := strings.Cut(help, "COMMANDS:")
			list, _, _ = strings.Cut(list, "OPTIONS:")
			for _, n := range subcommand.FindAllStringSubmatch(list, -1) {
				all[program][m[1]+" "+n[1]] = options(ask(t, path, m[1], n[1]))
			}
		}
	}
	return all
}

// ask returns the help of a command.
func ask(t *testing.T, path string, subcommand ...string) string {
	t.Helper()
	c := exec.Command(path, append(subcommand, "--help")...)
	c.Env = []string{"HOME=" + t.TempDir()}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v --help: %v: %s", path, subcommand, err, out)
	}
	return string(out)
}

// options returns those that a help text lists.
func options(help string) (list []string) {
	for _, m := range option.FindAllStringSubmatch(help, -1) {
		list = append(list, strings.Split(m[1], ", ")...)
	}
	return list
}

// variable matches what a make target, or the environment, is given.
var variable = regexp.MustCompile(`^[A-Z_]+=`)

// check returns why a command cannot be typed, or nil.
func (all programs) check(words []string) error {
	program, words := words[0], words[1:]
	switch program {
	case "edge", "supernode":
		return all.checkProduct(program, words)
	case "make":
		return checkMake(words)
	case "go":
		return checkGo(words)
	}
	if strings.HasPrefix(program, ".ci/") {
		_, err := os.Stat(filepath.Join(root, program))
		return err
	}
	return nil
}

// checkProduct checks a command of the product.
func (all programs) checkProduct(program string, words []string) error {
	known, sub := all[program], ""
	if len(words) > 0 && !strings.HasPrefix(words[0], "-") {
		sub = words[0]
		if len(words) > 1 && known[sub+" "+words[1]] != nil {
			sub += " " + words[1]
		}
	}
	if known[sub] == nil {
		return fmt.Errorf("%s has no command %s", program, sub)
	}
	for _, w := range words {
		name, _, _ := strings.Cut(w, "=")
		if strings.HasPrefix(w, "-") && len(w) > 1 && !slices.Contains(known[sub], name) {
			return fmt.Errorf("%s %s has no option %s", program, sub, name)
		}
	}
	return nil
}

// checkMake checks the targets and variables of make.
func checkMake(words []string) error {
	b, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		return err
	}
	for _, w := range words {
		if v := variable.FindString(w); v != "" {
			if !strings.Contains(string(b), "$("+strings.TrimSuffix(v, "=")+")") {
				return fmt.Errorf("the Makefile does not use %s", v)
			}
			continue
		}
		if !strings.Contains(string(b), "\n"+w+":") {
			return fmt.Errorf("the Makefile has no target %s", w)
		}
	}
	return nil
}

// checkGo checks the folders and packages of ours that a go command names, the options of
// our programs that it runs, and the tests that it picks.
func checkGo(words []string) error {
	var packages []string
	for _, w := range words {
		path, ours := strings.CutPrefix(w, "./")
		if !ours {
			path, ours = strings.CutPrefix(w, "hedgerow/")
		}
		if !ours {
			continue
		}
		if !exists(strings.TrimSuffix(path, "...")) {
			return fmt.Errorf("there is no %s", w)
		}
		packages = append(packages, path)
	}
	switch {
	case words[0] == "run" && len(packages) > 0:
		return checkGoRun(words[1:], packages[0])
	case words[0] == "test" && len(packages) > 0:
		return checkGoTest(words[1:], packages)
	}
	return nil
}

// checkGoRun checks the options of a program of ours.
func checkGoRun(words []string, folder string) error {
	for _, w := range words {
		if name := strings.TrimLeft(w, "-"); name != w && !declares(folder, name) {
			return fmt.Errorf("%s has no option -%s", folder, name)
		}
	}
	return nil
}

// goOptions are options of go test itself that the documents use, besides those that pick
// tests.
var goOptions = []string{
	"benchmem", "benchtime", "blockprofile", "count", "cpuprofile", "fuzztime", "memprofile", "o", "p", "parallel", "race", "short", "timeout", "trace", "v",
}

// checkGoTest checks that each package has tests that are picked, and the options that its
// tests declare.
func checkGoTest(words, packages []string) error {
	for i, w := range words {
		name, isOption := strings.CutPrefix(w, "-")
		name, _, _ = strings.Cut(name, "=")
		kind := kinds[name]
		switch {
		case !isOption, slices.Contains(goOptions, name):
		case kind == "":
			if !slices.ContainsFunc(packages, func(p string) bool { return slices.Contains(suiteOf(p).options, name) }) {
				return fmt.Errorf("no test of %s has an option -%s", strings.Join(packages, ", "), name)
			}
		case i+1 < len(words) && words[i+1] != "^$":
			if err := picks(words[i+1], kind, packages); err != nil {
				return err
			}
		}
	}
	return nil
}

// kinds are the options of go test that pick tests, and how the names of these begin.
var kinds = map[string]string{"run": "Test|Fuzz", "bench": "Benchmark", "fuzz": "Fuzz"}

// picks returns why a pattern picks tests of a kind in vain: each of its alternatives, and
// each package.
func picks(pattern, kind string, packages []string) error {
	pattern, _, _ = strings.Cut(pattern, "/") // what follows is of subtests
	alternatives := []string{pattern}
	if !strings.ContainsAny(pattern, "()") {
		alternatives = strings.Split(pattern, "|")
	}
	begins := regexp.MustCompile("^(?:" + kind + ")")
	seen := make(map[string]bool)
	for _, a := range alternatives {
		picked, err := regexp.Compile(a)
		if err != nil {
			return err
		}
		for _, p := range packages {
			for _, name := range suiteOf(p).names {
				if begins.MatchString(name) && picked.MatchString(name) {
					seen[a], seen[p] = true, true
				}
			}
		}
	}
	for _, x := range append(alternatives, packages...) {
		if !seen[x] {
			return fmt.Errorf("%q picks nothing for %s", pattern, x)
		}
	}
	return nil
}

// declares reports whether a program of ours declares an option.
func declares(folder, name string) bool {
	return mentions(filepath.Join(root, folder), `"`+name+`"`, ".go")
}

// commands splits a line of code into commands of words: at && and ;, without
// what stands before the program (sudo, variables) and behind it (a comment). A
// word in quotes is one word.
func commands(line string) (list [][]string) {
	var words []string
	end := func() {
		for len(words) > 0 && (words[0] == "sudo" || words[0] == "nice" || words[0] == "$" || variable.MatchString(words[0])) {
			words = words[1:]
		}
		if len(words) > 0 {
			list = append(list, words)
		}
		words = nil
	}
	for _, w := range word.FindAllString(line, -1) {
		switch {
		case strings.HasPrefix(w, "#"):
			end()
			return list
		case w == "&&", w == ";", w == "|", w == "||":
			end()
		default:
			words = append(words, strings.NewReplacer("'", "", `"`, "").Replace(w))
		}
	}
	end()
	return list
}

// word matches a word of a shell's line, with quotes in it.
var word = regexp.MustCompile(`(?:'[^']*'|"[^"]*"|[^\s'"])+`)

// Every command of ours in the documents exists, as do its options.
func TestCommands(t *testing.T) {
	all := build(t)
	count := make(map[string]int)
	for _, d := range documents(t) {
		for _, s := range d.code() {
			for _, c := range commands(s.text) {
				if len(c) == 1 && c[0] != "make" { // a name, not a command
					continue
				}
				if len(c) > 1 && c[1] == "=" { // a key of a file of configuration
					continue
				}
				count[c[0]]++
				if err := all.check(c); err != nil {
					t.Errorf("%s:%d: %s: %v", d.path, s.line, strings.Join(c, " "), err)
				}
			}
		}
	}
	for _, program := range []string{"edge", "supernode", "make", "go"} {
		if count[program] == 0 {
			t.Errorf("no document has a command of %s", program)
		}
	}
}

// The check itself: what passes, and what does not.
func TestCheck(t *testing.T) {
	all := programs{
		"edge":      {"": {"-l", "--mtu"}, "peers": {"--json"}, "identity": {"-c"}, "identity new": {"-c", "--hard"}},
		"supernode": {"": {"-p"}, "id": {}},
	}
	cases := []struct {
		line string
		good bool
	}{
		{"sudo edge -l vps.example:7654 --mtu 1370", true},
		{"edge --mtu=1370", true},
		{"edge peers --json  # of --nothing", true},
		{"edge peers --mtu 1370", false},
		{"edge pears", false},
		{"edge identity -c x", true},
		{"edge identity --hard", false},
		{"edge identity new --hard", true},
		{"edge identity new --harder", false},
		{"edge --nothing", false},
		{"EDGE_KEY=x edge -l a:1 && supernode --nothing", false},
		{"supernode id", true},
		{"make build test && sudo make install PREFIX=/usr", true},
		{"make build tests", false},
		{"make build NOTHING=1", false},
		{"make bench BENCH='-rounds 3 -order'", true},
		{"go run ./integration/bench -bin bin -order", true},
		{"go run ./integration/bench -bin bin -disorder", false},
		{"go run ./integration/nothing", false},
		{"go test -run '^$' ./nat/... ./edge", true},
		{"go doc hedgerow/integration/lab", true},
		{"go doc hedgerow/nothing", false},
		{"go test ./edge -run '^TestSession'", true},
		{"go test ./edge -run TestNobodyWroteThis", false},
		{"go test -run '^$' -bench 'SessionSeal|HopRelay' ./crypto", true},
		{"go test -run '^$' -bench 'SessionSeal|NobodyWroteThis' ./crypto", false},
		{"go test -run '^$' -bench 'SessionSeal' ./crypto ./protocol", false},
		{"go test -run '^$' -bench . -benchmem ./...", true},
		{"go test ./nat/... -run TestPaths/nothing", false},
		{"go test ./integration/sim -run TestPaths/any -v", true},
		{"go test ./integration/attack -run TestSiege -whole -timeout 20m", true},
		{"go test ./edge -run TestSessionsExpire -whole", false},
		{".ci/run", true},
		{".ci/nothing", false},
		{"ip link show", true},
	}
	for _, c := range cases {
		var err error
		for _, words := range commands(c.line) {
			if e := all.check(words); e != nil {
				err = e
			}
		}
		if (err == nil) != c.good {
			t.Errorf("%q: %v", c.line, err)
		}
	}
}
