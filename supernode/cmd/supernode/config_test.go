package main

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/config"
)

var update = flag.Bool("update", false, "write the list of keys anew")

// configurationPage is the document that lists the keys.
const configurationPage = "../../../docs/configuration.md"

// effective returns what "config show --effective" shows.
func effective(t *testing.T, env map[string]string, args ...string) map[string]config.Setting {
	t.Helper()
	term := newTerminal(t.TempDir())
	term.env = env
	code := term.run(t.Context(), append([]string{"config", "show", "--effective", "--json"}, args...)...)
	var list []config.Setting
	if err := json.Unmarshal([]byte(term.out.String()), &list); err != nil || code != cli.OK {
		t.Fatal(err, term.err.String())
	}
	settings := make(map[string]config.Setting)
	for _, s := range list {
		settings[s.Key] = s
	}
	if len(settings) != len(list) {
		t.Error("a key is there twice")
	}
	return settings
}

// Each option but --config, and -l, which is --port, has a key and a variable, and what may
// be seen by others on the command line is shown nowhere.
func TestEveryOptionHasAKey(t *testing.T) {
	settings := effective(t, nil)
	visible := 0
	for _, f := range runFlags() {
		if v, ok := f.(ucli.VisibleFlag); !ok || !v.IsVisible() || f.Names()[0] == "config" || f.Names()[0] == "l" {
			continue
		}
		visible++
		names := append(f.Names(), map[string]string{"v": "verbose"}[f.Names()[0]])
		i := slices.IndexFunc(names, func(name string) bool { _, ok := settings[name]; return ok })
		if i < 0 {
			t.Errorf("%q has no key", f.Names())
			continue
		}
		variable := strings.ToUpper(program + "_" + strings.ReplaceAll(names[i], "-", "_"))
		set := effective(t, map[string]string{variable: "1"})[names[i]]
		if set.Source != "environment "+variable {
			t.Errorf("%s is not the variable of %s: %v", variable, names[i], set)
		}
		usage := f.(ucli.DocGenerationFlag).GetUsage()
		if secret := strings.Contains(usage, "others may see it"); secret != (set.Value == "***") {
			t.Errorf("%s is shown as %v", names[i], set.Value)
		}
	}
	if visible != len(settings) {
		t.Errorf("%d options and %d keys", visible, len(settings))
	}
}

// writeConfiguration writes a file for a supernode.
func writeConfiguration(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "supernode.toml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfigured runs a supernode that has everything from a file.
func TestConfigured(t *testing.T) {
	const text = "port = 0\npool = '10.77.0.0/16'\nlimit = ['community-edges=50', 'communities=7']\nmode = 'closed'\nobfs-key = 'q8s0Lk3vZp2mX7yW1bNcT5dR9fGhJ4aE'\nverbose = true\n"
	server, stop := serve(t, t.TempDir(), "--config", writeConfiguration(t, text), "--mode", "open")
	if code := stop(); code != cli.OK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{" pool=10.77.0.0/16 ", " limit.community-edges=50 ", " obfs_key=on ", " mode=open "} {
		if !strings.Contains(server.err.String(), want) {
			t.Errorf("the log lacks %q: %s", want, server.err.String())
		}
	}
	if s := server.err.String(); complains(s) || strings.Contains(s, "q8s0") {
		t.Errorf("it says %s", s)
	}
}

// The ports of a file do not count beside another one, by whichever option.
func TestConfiguredPort(t *testing.T) {
	file := writeConfiguration(t, "port = ['7000']\n")
	for line, want := range map[string]string{"": file + ":1", "-l 1": "default", "-p 1": "flag"} {
		if got := effective(t, nil, append(strings.Fields(line), file)...)["port"]; got.Source != want {
			t.Errorf("%q: %v, want %s", line, got, want)
		}
	}
	if got := effective(t, map[string]string{"SUPERNODE_PORT": "5"}, file)["port"]; got.Source != "environment SUPERNODE_PORT" {
		t.Errorf("%v", got)
	}
}

// The file of the system is read if it is there.
func TestDefaultFile(t *testing.T) {
	term := newTerminal(t.TempDir())
	file := writeConfiguration(t, "pool = 'x'\nport = 'y'\n")
	term.cmd.etc = filepath.Dir(file)
	if code := term.run(t.Context()); code != cli.Usage || !strings.Contains(term.err.String(), file+":1: pool x ") || !strings.Contains(term.err.String(), file+":2: \"y\" is not a port") {
		t.Errorf("%d, %s", code, term.err.String())
	}
}

// TestReference holds the list of keys in the documents, and their example.
func TestReference(t *testing.T) {
	b, err := os.ReadFile(configurationPage)
	if err != nil {
		t.Fatal(err)
	}
	begin := regexp.MustCompile(`(?m)^<!-- keys of ` + program + `:.*-->\n`).FindString(string(b))
	before, rest, ok := strings.Cut(string(b), begin)
	_, after, found := strings.Cut(rest, "<!-- end of keys -->")
	if begin == "" || !ok || !found {
		t.Fatal("the page has no place for the keys")
	}
	term := newTerminal(t.TempDir())
	want := before + begin + "\n" + term.cmd.configuredBy().Reference() + "\n<!-- end of keys -->" + after
	if *update {
		if err := os.WriteFile(configurationPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want != string(b) {
		t.Error("the list of keys is not current: run this test with -update")
	}
	blocks := regexp.MustCompile("(?s)```toml\n(.*?)```").FindAllStringSubmatch(string(b), -1)
	if len(blocks) != 2 {
		t.Fatalf("%d examples, want one for each program", len(blocks))
	}
	file := writeConfiguration(t, blocks[1][1])
	if code := term.run(t.Context(), "config", "check", file); code != cli.OK {
		t.Errorf("the example: %s", term.err.String())
	}
}
