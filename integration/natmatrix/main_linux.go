package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"hedgerow/integration/rig"
)

// flags are the command line.
type flags struct {
	bin, cells, json, markdown string
	runs, parallel             int
	list, verbose              bool
}

func parse() (f flags) {
	flag.StringVar(&f.bin, "bin", "bin", "`folder` of the commands edge and supernode")
	flag.IntVar(&f.runs, "runs", fullRuns, "how often every cell is run")
	flag.StringVar(&f.cells, "cells", "", "run only the cells whose names match this regular `expression`")
	flag.IntVar(&f.parallel, "parallel", 1, "how many cells are run at a time")
	flag.StringVar(&f.json, "json", "", "write every run to `file`")
	flag.StringVar(&f.markdown, "markdown", "", "write the table to `file`")
	flag.BoolVar(&f.list, "list", false, "print the cells and how they must be, and run nothing")
	flag.BoolVar(&f.verbose, "v", false, "print every run, and what the programs said where one is not as it must be")
	flag.Parse()
	return f
}

func main() {
	f := parse()
	s, err := f.settings()
	if err != nil {
		rig.Usage("natmatrix", err)
	}
	if f.list {
		for _, c := range s.cells {
			fmt.Printf("%-32s %s\n", c.name, c.want)
		}
		return
	}
	rig.Main("natmatrix", func(ctx context.Context) error { return f.run(ctx, s) })
}

// settings checks the command line.
func (f flags) settings() (s settings, err error) {
	if f.runs < 1 || f.parallel < 1 {
		return s, fmt.Errorf("-runs and -parallel are at least 1")
	}
	if flag.NArg() > 0 {
		return s, fmt.Errorf("%q is no option", flag.Arg(0))
	}
	s = settings{runs: f.runs, parallel: f.parallel, verbose: f.verbose}
	if s.cells, err = choose(cells(), f.cells); err != nil || f.list {
		return s, err
	}
	s.programs, err = rig.Built(f.bin)
	return s, err
}

// run runs the campaign and writes what was asked for, as far as it came.
func (f flags) run(ctx context.Context, s settings) error {
	c := &campaign{settings: s, out: os.Stdout}
	stopped := c.run(ctx)
	if f.json != "" {
		if err := c.save(f.json); err != nil {
			return err
		}
	}
	if f.markdown != "" {
		options := strings.TrimPrefix(strings.Join(os.Args[1:], " "), "-bin bin ")
		command := fmt.Sprintf("sudo make natmatrix NATMATRIX='%s'", options)
		if err := os.WriteFile(f.markdown, []byte(c.markdown(command, time.Now())), 0o644); err != nil {
			return err
		}
	}
	if stopped != nil {
		return fmt.Errorf("not all cells were run: %w", stopped)
	}
	if names := c.failures(); len(names) > 0 {
		return fmt.Errorf("%d of %d cells are not as they must be: %s", len(names), len(c.tallies), strings.Join(names, ", "))
	}
	return nil
}
