package cli

import (
	"strings"
	"testing"

	"github.com/urfave/cli/v2"
)

// probe is an app that records what its action saw.
func probe(seen *string) *cli.App {
	flags := func() []cli.Flag {
		return []cli.Flag{
			&cli.StringFlag{Name: "c", Aliases: []string{"community"}},
			&cli.StringFlag{Name: "k"},
			&cli.StringSliceFlag{Name: "l"},
			&cli.BoolFlag{Name: "insecure"},
			&cli.StringFlag{Name: "secret-option", Hidden: true},
			VerboseFlag(),
		}
	}
	action := func(c *cli.Context) error {
		community, given := String(c, "c")
		key, _ := String(c, "k")
		var b strings.Builder
		b.WriteString(c.Command.Name + " c=" + community)
		if given {
			b.WriteString("!")
		}
		b.WriteString(" k=" + key + " l=" + strings.Join(Strings(c, "l"), "+"))
		b.WriteString(" v=" + strings.Repeat("v", Count(c, "v")))
		if Bool(c, "insecure") {
			b.WriteString(" insecure")
		}
		*seen = b.String()
		return nil
	}
	return &cli.App{
		Name: "edge", Version: "1.2.3", Flags: append(flags(), VersionFlag()), Action: action,
		Commands: []*cli.Command{
			{Name: "run", Flags: flags(), Action: action},
			{Name: "status", Action: action},
			{Name: "hidden", Hidden: true, Action: action},
		},
	}
}

func TestRun(t *testing.T) {
	for _, tt := range []struct {
		line string
		seen string // what the action saw, if it ran
		out  string // part of the output
		err  string // all of the errors
		code Code
	}{
		{line: "edge -c net -k key", seen: "edge c=net! k=key l= v="},
		{line: "edge --community net", seen: "edge c=net! k= l= v="},
		{line: "edge -c", err: "edge: flag needs an argument: -c\nTry 'edge --help'.\n", code: Usage},
		{line: "edge -vv -c net", seen: "edge c=net! k= l= v=vv"},
		{line: "edge -v -c net -v", seen: "edge c=net! k= l= v=vv"},
		{line: "edge -vvc net", seen: "edge c=net! k= l= v=vv"},
		{line: "edge -l a,b -l c", seen: "edge c= k= l=a,b+c v="},
		{line: "edge -c net -v -l a run -k key -v -l b", seen: "run c=net! k=key l=a+b v=vv"},
		{line: "edge -c net run -c other", seen: "run c=other! k= l= v="},
		{line: "edge --insecure run", seen: "run c= k= l= v= insecure"},
		{line: "edge -c=", seen: "edge c=! k= l= v="},
		{line: "edge status", seen: "status c= k= l= v="},
		{line: "edge -V", out: "edge 1.2.3\n"},
		{line: "edge --version", out: "edge 1.2.3\n"},
		{line: "edge --help", out: "USAGE"},
		{line: "edge help", out: "USAGE"},
		{line: "edge -c net edge.conf -k key", code: Usage,
			err: "edge: unexpected argument \"edge.conf\": options after it would be ignored. Remove it; the sub-commands are run, status. [E24]\nTry 'edge --help'.\n"},
		{line: "edge statsu", code: Usage,
			err: "edge: unexpected argument \"statsu\": options after it would be ignored. Did you mean the sub-command \"status\"? [E24]\nTry 'edge --help'.\n"},
		{line: "edge run now", code: Usage,
			err: "edge: unexpected argument \"now\": options after it would be ignored. Remove it; the sub-commands are run, status. [E24]\nTry 'edge --help'.\n"},
		{line: "edge --comunity net", code: Usage, err: "edge: unknown option --comunity. Did you mean --community?\nTry 'edge --help'.\n"},
		{line: "edge run --comunity net", code: Usage, err: "edge: unknown option --comunity. Did you mean --community?\nTry 'edge --help'.\n"},
		{line: "edge --secret-optio net", code: Usage, err: "edge: unknown option --secret-optio.\nTry 'edge --help'.\n"},
		{line: "edge --insecur", code: Usage, err: "edge: unknown option --insecur. Did you mean --insecure?\nTry 'edge --help'.\n"},
		{line: "edge --verson", code: Usage, err: "edge: unknown option --verson. Did you mean --version?\nTry 'edge --help'.\n"},
		{line: "edge --tls-hostname x", code: Usage, err: "edge: unknown option --tls-hostname.\nTry 'edge --help'.\n"},
		{line: "edge -x", code: Usage, err: "edge: unknown option -x.\nTry 'edge --help'.\n"},
	} {
		t.Run(tt.line, func(t *testing.T) {
			var seen string
			var out, errs strings.Builder
			code := Run(t.Context(), probe(&seen), strings.Fields(tt.line), Streams{Out: &out, Err: &errs})
			if code != tt.code || seen != tt.seen || errs.String() != tt.err || !strings.Contains(out.String(), tt.out) {
				t.Errorf("code %d, seen %q, errors %q, output %q", code, seen, errs.String(), out.String())
			}
		})
	}
}

func TestSuggest(t *testing.T) {
	known := []string{"run", "status", "peers", "keys", "keygen", "version"}
	for _, tt := range []struct {
		arg, want string
		ok        bool
	}{
		{"statsu", "status", true},
		{"STATUS", "status", true},
		{"peer", "peers", true},
		{"kes", "keys", true},
		{"keyge", "keygen", true},
		{"ver", "version", true},
		{"pers", "peers", true},
		{"keysgen", "keygen", true},
		{"verison", "version", true},
		{"edge.conf", "", false},
		{"host", "", false},
		{"now", "", false},
		{"x", "", false},
		{"k", "", false},
		{"", "", false},
		{strings.Repeat("status", 100), "", false},
	} {
		if got, ok := Suggest(tt.arg, known); got != tt.want || ok != tt.ok {
			t.Errorf("Suggest(%q) = %q, %v, want %q, %v", tt.arg, got, ok, tt.want, tt.ok)
		}
	}
}

func TestEnvironmentFirst(t *testing.T) {
	env := Environment(func(name string) string {
		return map[string]string{"EDGE_KEY": "", "N2N_KEY": "old"}[name]
	})
	if v, name := env.First("EDGE_KEY", "N2N_KEY"); v != "old" || name != "N2N_KEY" {
		t.Errorf("an empty variable hid the next one: %q from %q", v, name)
	}
	if v, name := env.First("EDGE_KEY"); v != "" || name != "" {
		t.Errorf("an empty variable counts as set: %q from %q", v, name)
	}
}
