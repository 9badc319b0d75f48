package main

import (
	"os"
	"strings"
	"testing"

	"hedgerow/integration/lab"
	"hedgerow/integration/rig"
)

// programs are the commands under test. TestMain builds them before any test.
var programs rig.Programs

func TestMain(m *testing.M) { os.Exit(rig.RunTests(m, &programs)) }

// Some cells, a few times each: one of every way by which edges meet, and one
// in which they do not.
func TestCells(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the commands, which are the same with and without -race; takes seconds")
	}
	lab.Require(t)
	names := []string{"public x apdf", "apdf x apdf", "openinput x openinput", "apdf x seq", "adm x random", "same router", "overlapping homes", "same carrier, apdf x apdf"}
	var out strings.Builder
	c := &campaign{settings: settings{programs: programs, runs: 3, parallel: 2, verbose: true}, out: &out}
	for _, c2 := range cells() {
		for _, name := range names {
			if c2.name == name {
				c.cells = append(c.cells, c2)
			}
		}
	}
	if len(c.cells) != len(names) {
		t.Fatalf("%d of %d cells exist", len(c.cells), len(names))
	}
	if err := c.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if failed := c.failures(); len(failed) > 0 || len(c.tallies) != len(names) {
		t.Errorf("not as they must be: %v\n%s", failed, out.String())
	}
	for _, tally := range c.tallies {
		t.Log(tally)
	}
}

// Everything that cells are made of can be made.
func TestGrounds(t *testing.T) {
	lab.Require(t)
	list := special()
	for _, s := range []side{public, eif, adf, apdf, port, adm, seq, block, random, udpblock, reject, open} {
		list = append(list, apart(s, s, wantEither))
	}
	for _, c := range list {
		t.Run(c.name, func(t *testing.T) {
			g, err := c.lay(lab.ForTest(t))
			if err != nil {
				t.Fatal(err)
			}
			if g.a.Name() != "a" || g.b.Name() != "b" || (g.decoy != nil && g.decoy.Addr() != g.b.Addr()) {
				t.Errorf("%+v", g)
			}
		})
	}
}
