package config

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
)

// testFlags has an option of each kind.
func testFlags() []ucli.Flag {
	return []ucli.Flag{
		FileFlag(),
		&ucli.StringFlag{Name: "c", Aliases: []string{"community"}, Usage: "`NAME` of it"},
		&ucli.StringFlag{Name: "k", Aliases: []string{"key"}, Usage: "`KEY` of it"},
		&ucli.StringFlag{Name: "key-file", Usage: "`FILE` of it"},
		&ucli.StringSliceFlag{Name: "l", Aliases: []string{"supernode"}, Usage: "`HOST:PORT`"},
		&ucli.StringSliceFlag{Name: "p", Aliases: []string{"port"}, Usage: "`PORT`; default: 7654"},
		&ucli.StringFlag{Name: "M", Aliases: []string{"mtu"}, Usage: "in `BYTES`; default: 1370"},
		&ucli.BoolFlag{Name: "t", Aliases: []string{"tls"}, Usage: "by TLS"},
		&ucli.StringFlag{Name: "http-proxy", Usage: "`URL` of it"},
		&ucli.StringFlag{Name: "for-tests", Hidden: true},
		cli.VerboseFlag(),
	}
}

// run runs "p" with args on a machine with an environment, and returns what its action has
// read, in the spelling of a command line, with the origins behind it, and what was said.
func run(t *testing.T, env map[string]string, args ...string) (seen, out, errs string, code cli.Code) {
	t.Helper()
	p := Program{
		Name: "p", Env: func(name string) string { return env[name] }, Flags: testFlags,
		Default: func(*ucli.Context) string { return env["default file"] },
		Aliases: map[string][]string{"key": {"OLD_KEY"}}, Reads: []string{"community"},
		Choices: []Choice{{Options: []string{"k", "key-file"}, Variables: []string{"P_PASSWORD"}}},
	}
	read := func(c *ucli.Context) error {
		var faults cli.Faults
		var b strings.Builder
		for _, f := range testFlags() {
			name := f.Names()[0]
			if !cli.Given(c, name) || name == fileOption {
				continue
			}
			b.WriteString(name + "=")
			switch kindOf(f) {
			case several:
				b.WriteString(strings.Join(cli.Strings(c, name), "+"))
			case toggle:
				if cli.Bool(c, name) != c.Bool("tls") {
					t.Errorf("%s has two values", name)
				}
				if !cli.Bool(c, name) {
					b.WriteString("off")
				}
			case level:
				b.WriteString(strings.Repeat("v", cli.Count(c, name)))
			default:
				s, _ := cli.String(c, name)
				b.WriteString(s)
			}
			if origin := cli.Origin(c, name); origin != "" {
				b.WriteString("(" + filepath.Base(origin) + ")")
			}
			b.WriteString(" ")
		}
		seen = strings.TrimSpace(b.String())
		if s, _ := cli.String(c, "M"); s == "0" {
			faults.Addf("-M 0 is too small: try --mtu 1280")
		}
		if s, _ := cli.String(c, "c"); s == "bad" {
			faults.Addf("the name %q is not one", s)
		}
		if !cli.Given(c, "k") {
			faults.Addf("no key: give --key")
		}
		return faults.Err()
	}
	p.Parse = func(c *ucli.Context) error { return p.Overlay(c, func() error { return read(c) }) }
	app := &ucli.App{Name: "p", Flags: append(testFlags(), cli.VersionFlag()), Action: p.Parse, Commands: []*ucli.Command{
		{Name: "run", Flags: testFlags(), Action: p.Parse}, p.Command(),
	}}
	var o, e strings.Builder
	args = p.Arguments(p.Positional(append([]string{"p"}, args...), app.Commands))
	code = cli.Run(t.Context(), app, args, cli.Streams{In: strings.NewReader(""), Out: &o, Err: &e})
	return seen, o.String(), e.String(), code
}

// write writes a private file.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const whole = `community = "net"
key = "secret of the file"
supernode = ["a:1", "b:2"]
port = 7000
mtu = 1400
tls = true
verbose = 2
`

func TestPrecedence(t *testing.T) {
	file := write(t, "f", whole)
	const fileKey = "k=secret of the file(f:2)"
	for name, tt := range map[string]struct {
		env  map[string]string
		args string
		want string
	}{
		"file":           {nil, "--config FILE", "c=net(f:1) " + fileKey + " l=a:1+b:2(f:3) p=7000(f:4) M=1400(f:5) t=(f:6) v=vv(f:7)"},
		"run":            {nil, "run --config FILE", "c=net(f:1) " + fileKey + " l=a:1+b:2(f:3) p=7000(f:4) M=1400(f:5) t=(f:6) v=vv(f:7)"},
		"before run":     {nil, "--config FILE -M 1 run -c x", "c=x " + fileKey + " l=a:1+b:2(f:3) p=7000(f:4) M=1 t=(f:6) v=vv(f:7)"},
		"positional":     {nil, "FILE", "c=net(f:1) " + fileKey + " l=a:1+b:2(f:3) p=7000(f:4) M=1400(f:5) t=(f:6) v=vv(f:7)"},
		"variable":       {map[string]string{"P_CONFIG": file}, "-c x -l c:3 -p 1 -M 2 -t -v", "c=x " + fileKey + " l=c:3 p=1 M=2 t= v=v"},
		"default":        {map[string]string{"default file": file}, "-c x -l c:3 -p 1 -M 2 -t -v", "c=x " + fileKey + " l=c:3 p=1 M=2 t= v=v"},
		"none there":     {map[string]string{"default file": file + "x"}, "-k x", "k=x"},
		"none wanted":    {map[string]string{"P_CONFIG": file}, "--config= -k x", "k=x"},
		"option":         {nil, "--config FILE -k x --community=y --supernode c:3 --port 1 --mtu 2 --tls=false -v", "c=y k=x l=c:3 p=1 M=2 t=off v=v"},
		"environment":    {map[string]string{"P_KEY": "x", "P_COMMUNITY": "read by the command", "P_SUPERNODE": "c:3, d:4", "P_PORT": "1", "P_MTU": "2", "P_TLS": "0", "P_VERBOSE": "1"}, "--config FILE", "k=x(P_KEY) l=c:3+d:4(P_SUPERNODE) p=1(P_PORT) M=2(P_MTU) t=off(P_TLS) v=v(P_VERBOSE)"},
		"over it":        {map[string]string{"P_KEY": "x", "P_SUPERNODE": "c:3", "P_MTU": "2"}, "-k y -l d:4 -M 3", "k=y l=d:4 M=3"},
		"empty":          {map[string]string{"P_MTU": "", "P_KEY": "", "OLD_KEY": "x"}, "--config FILE -c c -l l -p 1 -t -v", "c=c k=x(OLD_KEY) l=l p=1 M=1400(f:5) t= v=v"},
		"other key":      {nil, "--config FILE --key-file x -c c -l l -p 1 -t -v", "c=c key-file=x l=l p=1 M=1400(f:5) t= v=v"},
		"key and option": {map[string]string{"P_KEY_FILE": "y"}, "-k x", "k=x"},
		"its variable":   {map[string]string{"P_PASSWORD": "y"}, "--config FILE -c c -l l -p 1 -t -v", "c=c l=l p=1 M=1400(f:5) t= v=v"},
	} {
		t.Run(name, func(t *testing.T) {
			seen, _, errs, code := run(t, tt.env, strings.Fields(strings.ReplaceAll(tt.args, "FILE", file))...)
			noKey := !strings.Contains(" "+tt.want, " k=")
			if seen != tt.want || noKey != (code == cli.Usage) || noKey != strings.Contains(errs, "no key") {
				t.Errorf("%d, %q\nseen %s\nwant %s", code, errs, seen, tt.want)
			}
		})
	}
}

func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		text string
		env  map[string]string
		want []string // without the program's name and the folder
	}{
		"none":           {text: `key = "x"`},
		"unknown":        {text: "key = 'x'\ncomunity = 'y'\nzzz = 1", want: []string{`f:2: there is no key "comunity". Did you mean "community"?`, `f:3: there is no key "zzz": docs/configuration.md lists them`}},
		"short":          {text: "key = 'x'\n\nM = 5", want: []string{`f:3: there is no key "M": the key of this option is "mtu"`}},
		"hidden":         {text: "key = 'x'\nfor-tests = 'y'\nconfig = 'z'", want: []string{`f:2: there is no key "for-tests": docs/configuration.md lists them`, `f:3: there is no key "config": docs/configuration.md lists them`}},
		"table":          {text: "key = 'x'\n[edge]\nmtu = 5", want: []string{`f:2: there is no table "edge": keys stand in the file without one`}},
		"dotted":         {text: "key = 'x'\nedge.mtu = 5", want: []string{`f:2: there is no table "edge": keys stand in the file without one`}},
		"several":        {text: "key = 'x'\n[community.other]\nmtu = 5", want: []string{"f:2: [community.NAME] is not read: one process is a member of one community. Give each community a file, and an edge, of its own"}},
		"types":          {text: "key = 1\ntls = 'yes'\nmtu = 1.5\nverbose = -1\nsupernode = ['a', 5]\nport = [[1]]\ncommunity = ['x']", want: []string{"f:1: key is an integer: write a string", "f:2: tls is a string: write true or false", "f:3: mtu is a number with a fraction: write an integer or a string", "f:4: verbose is an integer: write an integer, or true or false", "f:5: supernode holds an integer: write a string or an array of strings", "f:6: port holds an array: write an integer, a string, or an array of them", "f:7: community is an array: write a string"}},
		"date":           {text: "key = 2026-01-01", want: []string{"f:1: key is a date or time: write a string"}},
		"no TOML":        {text: "key = 'x'\nmtu 5", want: []string{"the configuration cannot be read: f:2: this is not TOML: expected '.' or '=', but got '5' instead"}},
		"twice":          {text: "key = 'x'\nkey = 'y'", want: []string{"the configuration cannot be read: f:2: this is not TOML: Key 'key' has already been defined."}},
		"value":          {text: "key = 'x'\nmtu = 0\ncommunity = 'bad'", want: []string{"f:2: mtu 0 is too small: try mtu 1280", `f:3: the name "bad" is not one`}},
		"all":            {text: "comunity = 'x'\nmtu = 0", want: []string{`f:1: there is no key "comunity". Did you mean "community"?`, "f:2: mtu 0 is too small: try mtu 1280"}},
		"missing":        {text: "mtu = 5", want: []string{"no key: give --key"}},
		"variable":       {text: "key = 'x'\nmtu = 5", env: map[string]string{"P_MTU": "0"}, want: []string{"P_MTU 0 is too small: try P_MTU 1280"}},
		"variable types": {text: "key = 'x'", env: map[string]string{"P_TLS": "maybe", "P_VERBOSE": "much"}, want: []string{`P_TLS is "maybe": set it to true or false, or to nothing`, `P_VERBOSE is "much": set it to a number, such as 1, or to nothing`}},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, "f", tt.text)
			var said [2]string
			for i, args := range [][]string{{"--config", file}, {"config", "check", file}} {
				_, out, errs, code := run(t, tt.env, args...)
				if (code == cli.Usage) != (len(tt.want) > 0) || len(tt.want) == 0 && code != cli.OK {
					t.Errorf("%q: %d", args, code)
				}
				if i == 1 && len(tt.want) == 0 && out != file+": nothing is wrong\n" {
					t.Errorf("it says %q", out)
				}
				errs, _, _ = strings.Cut(errs, "Try ")
				said[i] = strings.ReplaceAll(strings.ReplaceAll(errs, "p: ", ""), filepath.Dir(file)+"/", "")
			}
			if want := strings.Join(append(tt.want, ""), "\n"); said[0] != want || said[1] != want {
				t.Errorf("got\n%s%swant\n%s", said[0], said[1], want)
			}
		})
	}
}

func TestNoFile(t *testing.T) {
	if _, _, errs, code := run(t, nil, "--config", "/nothing", "-k", "x"); code != cli.Usage || !strings.Contains(errs, "/nothing") {
		t.Errorf("%d, %s", code, errs)
	}
	if _, _, errs, code := run(t, nil, "config", "check"); code != cli.Usage || !strings.Contains(errs, "'p config check FILE'") {
		t.Errorf("%d, %s", code, errs)
	}
	for _, args := range [][]string{{"nothing.toml"}, {t.TempDir()}, {write(t, "f", "key = 'x'"), "-v"}} {
		if _, _, errs, code := run(t, nil, args...); code != cli.Usage || !strings.Contains(errs, "[E24]") {
			t.Errorf("%q: %d, %s", args, code, errs)
		}
	}
}

// A file with a secret that others may read is refused, and one without is not.
func TestPrivate(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are those of Unix")
	}
	for text, refused := range map[string]bool{
		"key = 'x'":                                true,
		"http-proxy = 'http://u:p@proxy:1'":        true,
		"http-proxy = 'http://proxy:1'\nmtu = 5\n": false,
	} {
		file := write(t, "f", text)
		if err := os.Chmod(file, 0o644); err != nil {
			t.Fatal(err)
		}
		_, _, errs, code := run(t, map[string]string{"P_PASSWORD": ""}, "--config", file, "-c", "x", "-k", "y")
		if refused != (code == cli.Usage) || refused != strings.Contains(errs, "type chmod 600 "+file) {
			t.Errorf("%s: %d, %s", text, code, errs)
		}
	}
}

func TestShow(t *testing.T) {
	file := write(t, "f", whole+"http-proxy = 'http://u:word@proxy:1'\n")
	env := map[string]string{"P_SUPERNODE": "c:3,d:4"}
	var got []Setting
	_, out, errs, code := run(t, env, "config", "show", "--effective", "--json", "-M", "1300", file)
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != cli.OK {
		t.Fatal(err, errs)
	}
	want := []string{"community net " + file + ":1", "key *** " + file + ":2", "key-file null default", "supernode [c:3 d:4] environment P_SUPERNODE", "port [7000] " + file + ":4", "mtu 1300 flag", "tls true " + file + ":6", "http-proxy *** " + file + ":8", "verbose 2 " + file + ":7"}
	var lines []string
	for _, s := range got {
		value := "null"
		switch v := s.Value.(type) {
		case string:
			value = v
		case []any:
			var items []string
			for _, item := range v {
				items = append(items, item.(string))
			}
			value = "[" + strings.Join(items, " ") + "]"
		}
		lines = append(lines, s.Key+" "+value+" "+s.Source)
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	_, text, _, _ := run(t, env, "config", "show", file)
	if strings.Contains(text, "key-file") || !strings.Contains(text, "supernode   c:3, d:4  environment P_SUPERNODE\n") {
		t.Errorf("without --effective:\n%s", text)
	}
	_, all, _, _ := run(t, nil, "config", "show", "--effective")
	if !strings.Contains(all, "mtu         1370   default\n") {
		t.Errorf("without a file:\n%s", all)
	}
	for _, s := range []string{out, text} {
		if strings.Contains(s, "secret") || strings.Contains(s, "word") {
			t.Errorf("a secret is shown:\n%s", s)
		}
	}
}
