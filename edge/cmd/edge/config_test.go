package main

import (
	"encoding/json"
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

// configurationPage is the document that lists the keys.
const configurationPage = "../../../docs/configuration.md"

// call runs a command line in an environment.
func call(t *testing.T, env map[string]string, args ...string) (out, errs string, code cli.Code) {
	t.Helper()
	cmd := testCommand(env)
	code = cmd.run(t.Context(), append([]string{program}, args...))
	return cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String(), code
}

// effective returns what "config show --effective" shows.
func effective(t *testing.T, env map[string]string, args ...string) map[string]config.Setting {
	t.Helper()
	out, errs, code := call(t, env, append([]string{"config", "show", "--effective", "--json"}, args...)...)
	var list []config.Setting
	if err := json.Unmarshal([]byte(out), &list); err != nil || code != cli.OK {
		t.Fatal(err, errs)
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

// Each option but --config has a key and a variable, and what may be seen by others on the
// command line is shown nowhere.
func TestEveryOptionHasAKey(t *testing.T) {
	settings := effective(t, nil)
	visible := 0
	for _, f := range runFlags() {
		if v, ok := f.(ucli.VisibleFlag); !ok || !v.IsVisible() || f.Names()[0] == "config" {
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

// What a file says reaches the edge as what the command line says does.
func TestConfiguration(t *testing.T) {
	file := writeFile(t, "net.toml", `
community = "mynetwork"
key = "encryptme"
supernode = ["a.b.c.d:7654"]
mtu = 1400
no-lan = true
verbose = 2
`, 0o600)
	o, errs, code := parse(t, nil, "--config", file)
	typed, _, _ := parse(t, nil, "-c", "mynetwork", "-k", "encryptme", "-l", "a.b.c.d:7654", "-M", "1400", "--no-lan", "-vv")
	if code != cli.OK || o.Community.Name != "mynetwork" || o.Ethernet.MTU != 1400 || !o.Nearby.NoLAN || o.Log != typed.Log || len(o.Supernodes) != 1 {
		t.Errorf("%d, %s, %+v", code, errs, o)
	}
	if k := o.Community.Key; k.kind != keyEnvironment || k.from != file+":3" || k.text != "encryptme" || len(k.warnings("correct horse battery staple, and more")) > 0 {
		t.Errorf("the key counts as typed: %v", k)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		args []string
		kind keyKind
	}{
		"file":        {kind: keyEnvironment},
		"variable":    {env: map[string]string{"N2N_KEY": "other"}, kind: keyEnvironment},
		"other kind":  {args: []string{"--key-file", "-"}, kind: keyStdin},
		"its own":     {env: map[string]string{"EDGE_COMMUNITY_FILE": "x"}, kind: keyCommunityFile},
		"in clear":    {args: []string{"--insecure-no-encryption"}, kind: keyInsecure},
		"not in it":   {env: map[string]string{"EDGE_INSECURE_NO_ENCRYPTION": "false"}, kind: keyEnvironment},
		"both chosen": {env: map[string]string{"EDGE_KEY_FILE": "x"}, args: []string{"-k", "y"}, kind: keyOption},
	} {
		o, errs, code := parse(t, tt.env, append(tt.args, "--config", file)...)
		if code != cli.OK || o.Community.Key.kind != tt.kind {
			t.Errorf("%s: %d, %s, %v", name, code, errs, o.Community.Key.kind)
		}
		if name == "variable" && o.Community.Key.text != "other" {
			t.Error("the file wins over N2N_KEY")
		}
	}
	_, errs, code = parse(t, nil, "--config", writeFile(t, "two.toml", "community = 'x'\nkey = 'a'\nkey-file = 'b'\n", 0o600))
	if code != cli.Usage || !strings.Contains(errs, "two.toml:2 and key-file (") {
		t.Errorf("two kinds of keys: %d, %s", code, errs)
	}
}

// The file of a community is read where nothing but its name is given.
func TestDefaultFile(t *testing.T) {
	cmd := testCommand(map[string]string{})
	cmd.etc = t.TempDir()
	if err := os.Mkdir(filepath.Join(cmd.etc, program), 0o755); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cmd.etc, program, "mynetwork.toml")
	if err := os.WriteFile(path, []byte("mtu = 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for line, read := range map[string]bool{
		"-c mynetwork": true, "run -v -c mynetwork": true, "-c other": false, "-c mynetwork -d edge7": false, "-c mynetwork --config=": false,
	} {
		errs := new(strings.Builder)
		cmd.streams.Err = errs
		if cmd.run(t.Context(), append([]string{program}, strings.Fields(line)...)); read != strings.Contains(errs.String(), path+":1: mtu 5 ") {
			t.Errorf("%s: %s", line, errs)
		}
	}
}

// TestReference holds the list of keys in the documents, and what these show.
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
	want := before + begin + "\n" + testCommand(nil).configuration().Reference() + "\n<!-- end of keys -->" + after
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
	file := writeFile(t, "mynetwork.toml", blocks[0][1], 0o644)
	if out, errs, code := call(t, nil, "config", "check", file); code != cli.OK {
		t.Errorf("the example: %s%s", out, errs)
	}
	t.Chdir(filepath.Dir(writeFile(t, "mynetwork.toml", "comunity = 'x'\nkey = 'x'\nsupernode = ['a:1']\nmtu = 99999\nno-lan = 'x'\n", 0o600)))
	_, errs, _ := call(t, nil, "mynetwork.toml")
	if shown, _, _ := strings.Cut(errs, "Try "); !strings.Contains(string(b), "```\n"+shown+"```\n") {
		t.Errorf("the page does not show what a file's faults look like: %s", shown)
	}
}
