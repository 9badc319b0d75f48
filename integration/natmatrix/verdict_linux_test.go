package main

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
)

func TestJudge(t *testing.T) {
	for _, tt := range []struct {
		want                expectation
		runs, missed, asked int
		verdict             verdict
	}{
		{wantDirect, 19, 0, 20, undecided},
		{wantDirect, 20, 0, 20, passed},
		{wantDirect, 5, 1, 20, undecided},
		{wantDirect, 20, 1, 20, undecided}, // run on
		{wantDirect, 99, 1, 20, undecided},
		{wantDirect, 100, 1, 20, passed},
		{wantDirect, 20, 2, 20, failed},
		{wantDirect, 7, 2, 20, failed}, // at once
		{wantDirect, 3, 0, 3, passed},
		{wantDirect, 2, 1, 3, undecided},
		{wantDirect, 3, 1, 3, failed}, // a look is not run on
		{wantRelay, 20, 1, 20, undecided},
		{wantRelay, 100, 2, 20, failed},
		{wantBirthday, 20, 1, 20, passed},
		{wantBirthday, 20, 2, 20, undecided},
		{wantBirthday, 60, 4, 20, undecided},
		{wantBirthday, 60, 3, 20, undecided}, // not before the end
		{wantBirthday, 100, 5, 20, passed},
		{wantBirthday, 50, 6, 20, failed},
		{wantBirthday, 3, 1, 3, failed},
		{wantDirect, 200, 2, 200, passed},
		{wantDirect, 200, 3, 200, failed},
		{wantBirthday, 200, 10, 200, passed},
		{wantBirthday, 200, 11, 200, failed},
		{wantDirect, 150, 1, 200, undecided},
	} {
		if got := tt.want.judge(tt.runs, tt.missed, tt.asked); got != tt.verdict {
			t.Errorf("%s, %d of %d missed, %d asked for: verdict %d, want %d", tt.want, tt.missed, tt.runs, tt.asked, got, tt.verdict)
		}
	}
}

func TestMiss(t *testing.T) {
	home := ground{direct: []netip.Prefix{netip.MustParsePrefix("192.168.1.0/24"), netip.MustParsePrefix("fe80::/10")}}
	direct := outcome{Path: control.PathDirect, Direct: 0.2, Endpoint: "192.168.1.10:5000 [fe80::1%eth0]:5000", Connections: []int{40, 1300}}
	relayed := outcome{Path: control.PathRelay, Sent: 200}
	change := func(o outcome, f func(*outcome)) outcome { f(&o); return o }
	for name, tt := range map[string]struct {
		outcome
		missed string // the expectations that miss
	}{
		"direct":                 {direct, "R"},
		"relayed":                {relayed, "DB"},
		"relayed, and lost":      {change(relayed, func(o *outcome) { o.Lost = 1 }), "DBRE"},
		"late":                   {change(direct, func(o *outcome) { o.Direct = 3.1 }), "DBR"},
		"elsewhere":              {change(direct, func(o *outcome) { o.Endpoint = "192.168.1.10:1 10.0.0.1:1" }), "DBRE"},
		"by another socket":      {change(direct, func(o *outcome) { o.Endpoint = "192.168.1.10:1 [100::1]:1" }), "R"},
		"unreadable":             {change(direct, func(o *outcome) { o.Endpoint = "nowhere" }), "DBRE"},
		"direct, then no longer": {change(direct, func(o *outcome) { o.Path = control.PathRelay }), "DBRE"},
		"no path":                {outcome{Path: control.PathNone}, "DBRE"},
		"another way to relay":   {outcome{Path: "tls"}, "DB"},
		"lost, then direct":      {change(direct, func(o *outcome) { o.Lost = 3 }), "R"},
		"many connections":       {change(direct, func(o *outcome) { o.Connections = []int{40, 1301} }), "BR"},
	} {
		for _, e := range []expectation{wantDirect, wantBirthday, wantRelay, wantEither} {
			if got, want := e.miss(tt.outcome, home), strings.Contains(tt.missed, string(e)); (got != "") != want {
				t.Errorf("%s where %s must be: %q", name, e, got)
			}
		}
	}
	if why := wantDirect.miss(change(direct, func(o *outcome) { o.Endpoint = "1.2.3.4:5 6.7.8.9:1" }), ground{}); why != "" {
		t.Errorf("direct anywhere: %q", why)
	}
}

func TestWorse(t *testing.T) {
	for _, tt := range []struct{ a, b, want control.Path }{
		{control.PathDirect, control.PathDirect, control.PathDirect},
		{control.PathDirect, control.PathRelay, control.PathRelay},
		{control.PathRelay, control.PathDirect, control.PathRelay},
		{control.PathRelay, control.PathNone, control.PathNone},
		{control.PathNone, control.PathRelay, control.PathNone},
		{"", control.PathDirect, control.PathNone},
		{control.PathDirect, "", control.PathNone},
	} {
		if got := worse(tt.a, tt.b); got != tt.want {
			t.Errorf("worse(%q, %q) = %q", tt.a, tt.b, got)
		}
	}
}

// The table has every pair of classes, and no name twice.
func TestTable(t *testing.T) {
	names := make(map[string]bool)
	for _, c := range cells() {
		if names[c.name] {
			t.Errorf("%s is there twice", c.name)
		}
		names[c.name] = true
		if strings.HasPrefix(c.want.String(), "expectation") {
			t.Errorf("%s: %s", c.name, c.want)
		}
	}
	for i, m := range matrix {
		if len(m.row) != len(matrix)-i {
			t.Errorf("the row %s has %d cells", m.name, len(m.row))
		}
	}
	for _, v := range variants {
		if len(v.row) != len(v.with) {
			t.Errorf("the variant %s has %d cells for %d sides", v.a.name, len(v.row), len(v.with))
		}
	}
	if _, err := choose(cells(), "no such cell"); err == nil {
		t.Error("no cell is a choice")
	}
	if _, err := choose(cells(), "("); err == nil {
		t.Error("( is an expression")
	}
	if list, err := choose(cells(), "^apdf x seq$"); err != nil || len(list) != 1 || list[0].want != wantDirect {
		t.Errorf("%v, %v", list, err)
	}
}

func TestPercentile(t *testing.T) {
	var hundred []float64
	for i := range 100 {
		hundred = append(hundred, float64(i+1))
	}
	for _, tt := range []struct {
		list        []float64
		share, want float64
	}{
		{hundred, 0.5, 50}, {hundred, 0.95, 95}, {hundred, 1, 100}, {hundred, 0, 1},
		{[]float64{7}, 0.5, 7}, {[]float64{1, 2, 3}, 0.5, 2}, {[]float64{1, 2, 3}, 0.95, 3},
	} {
		if got := percentile(tt.list, tt.share); got != tt.want {
			t.Errorf("the %v of %d values is %v, want %v", tt.share, len(tt.list), got, tt.want)
		}
	}
}

func TestMarkdown(t *testing.T) {
	good := tally{cell: apart(apdf, seq, wantDirect), verdict: passed, outcomes: []outcome{{Direct: 0.2}, {Direct: 0.4, Lost: 2}, {Direct: 0.3}}}
	bad := tally{cell: apart(random, random, wantRelay), verdict: failed, outcomes: []outcome{{Missed: "lost"}, {}}}
	c := &campaign{tallies: []tally{good, bad}}
	page := c.markdown("go run ./integration/natmatrix -runs 3", time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for _, want := range []string{
		"2026-03-01", "    go run ./integration/natmatrix -runs 3\n",
		"| A \\ B | eif | adf | apdf | adm | seq | block | random | udpblock |\n|---|---|---|---|---|---|---|---|---|\n",
		"| apdf |  |  | not run | not run | direct 3/3 0.30 s | not run | not run | not run |\n",
		"| random |  |  |  |  |  |  | **relay 1/2** | not run |\n",
		"| apdf x seq | direct | 3/3 | 0.30 | 0.40 | 0.40 | 2 | ok |\n",
		"| random x random | relay | 1/2 | - | - | - | 0 | **failed** |\n",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("there is no %q in\n%s", want, page)
		}
	}
}
