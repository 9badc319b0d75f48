package main

import (
	"encoding/binary"
	"strings"
	"testing"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		list []float64
		want string
	}{
		{[]float64{2}, "2.0"},
		{[]float64{3, 1, 2}, "2.0 (1.0..3.0)"},
		{[]float64{4, 1, 2, 3}, "2.5 (1.0..4.0)"},
	} {
		s, ok := spreadOf(c.list)
		if got := s.text(digits(1)); !ok || got != c.want {
			t.Errorf("%v: %s, want %s", c.list, got, c.want)
		}
	}
	if _, ok := spreadOf(nil); ok {
		t.Error("a spread of nothing")
	}
}

// A ratio is taken within its round, and a round without one of its values is
// left out.
func TestReport(t *testing.T) {
	c := &campaign{settings: settings{rounds: 3, variants: variants, cpus: []int{0, 1}}}
	for i, x := range []struct{ direct, vxlan float64 }{{5, 10}, {6, 10}, {0, 20}} {
		c.outcomes = append(c.outcomes, outcome{Round: i + 1, Variant: "vxlan", Values: values{"one": x.vxlan}})
		if x.direct > 0 {
			c.outcomes = append(c.outcomes, outcome{Round: i + 1, Variant: "direct", Values: values{"one": x.direct}})
		}
	}
	c.outcomes = append(c.outcomes, outcome{Round: 3, Variant: "direct", Failed: "no way\nand why"})
	var out strings.Builder
	c.printRatios(&out)
	if !strings.Contains(out.String(), "0.55 (0.50..0.60)") || !strings.Contains(out.String(), "(>= 0.45) ok") || strings.Contains(out.String(), "NaN") {
		t.Error(out.String())
	}
	out.Reset()
	c.printTables(&out)
	if !strings.Contains(out.String(), "| kernel VXLAN, no encryption | 10.0 (10.0..20.0) |") || strings.Contains(out.String(), "without loss") {
		t.Error(out.String())
	}
	if got := c.failures(); len(got) != 1 || got[0] != "direct, round 3: no way" {
		t.Errorf("failures %q", got)
	}
}

// What the promises are made of is measured, and the names of the tables too.
func TestPromises(t *testing.T) {
	for _, p := range promises {
		for _, name := range p.from {
			v, key, _ := strings.Cut(name, "/")
			if _, err := choose(v, variants, func(v variant) string { return v.name }); err != nil {
				t.Errorf("%s: %v", p.text, err)
			}
			if !measured(key) {
				t.Errorf("%s: %s is not in any table", p.text, key)
			}
		}
	}
}

// measured says whether a value is in a table or one of those that only the
// promises have.
func measured(key string) bool {
	for _, columns := range tables {
		for _, k := range columns {
			if k.key == key {
				return true
			}
		}
	}
	return key == "udp64-share"
}

func TestTimes(t *testing.T) {
	const stat = "cpu  999 0 0 0 0 0 0 0 0 0\ncpu0 100 10 20 5000 7 3 4 50 0 0\ncpu1 1 1 1 1 1 1 1 1 1 1\nintr 5\n"
	if got := columns(stat, []int{0}, statBusy...); got != 1.37 {
		t.Errorf("%v seconds, want 1.37", got)
	}
	if got := columns(stat, []int{0, 1}, statSteal); got != 0.51 {
		t.Errorf("%v seconds stolen, want 0.51", got)
	}
	const process = "42 (a ) b) S 1 1 1 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 9 0 100 1 1"
	if got, err := spent(process); err != nil || got != 3 {
		t.Errorf("%v seconds, %v, want 3", got, err)
	}
	if _, err := spent("42 (x) S"); err == nil {
		t.Error("a status without times")
	}
}

func TestLedger(t *testing.T) {
	l, b := ledger{run: 7, next: make([]uint64, 2)}, newBatch(64)
	enter := func(run, flow, number uint64, length uint32) {
		binary.LittleEndian.PutUint64(b.bodies[0][atRun:], run)
		binary.LittleEndian.PutUint64(b.bodies[0][atFlow:], flow)
		binary.LittleEndian.PutUint64(b.bodies[0][atNumber:], number)
		b.messages[0].length = length
		l.enter(b, 1)
	}
	enter(7, 0, 0, 64)
	enter(7, 1, 3, 64) // three are missing
	enter(7, 1, 1, 64) // one of them, late
	enter(7, 0, 1, 64)
	enter(6, 0, 9, 64)     // of another run
	enter(7, 2, 9, 64)     // of no flow
	enter(7, 0, 9, 8)      // too short
	enter(7, 0, 1<<63, 23) // too short by one
	if got := l.sum(false); got.Received != 4 || got.Missing != 2 || got.Reordered != 1 {
		t.Errorf("%+v", got)
	}
}

func TestChoose(t *testing.T) {
	name := func(v variant) string { return v.name }
	got, err := choose("relay, veth", variants, name)
	if err != nil || len(got) != 2 || got[0].name != "veth" {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := choose("direct,nonsense", variants, name); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Error(err)
	}
}
