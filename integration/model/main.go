package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// missing is said when there is no ProVerif.
const missing = `ProVerif is missing, and nothing was checked: docs/model/README.md says how to
get it. Put it into $PATH, or name it: PROVERIF=/path/to/proverif make model
`

// options are those of the command line.
type options struct {
	dir      string
	proverif string
	only     string
	timeout  time.Duration
	record   bool
	print    string
}

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "docs/model", "directory of the model")
	flag.StringVar(&o.proverif, "proverif", os.Getenv("PROVERIF"), "ProVerif; else the one in $PATH")
	flag.StringVar(&o.only, "case", "", "only the cases whose name has this in it")
	flag.DurationVar(&o.timeout, "timeout", 20*time.Minute, "longest time for one query")
	flag.BoolVar(&o.record, "record", false, "note in "+recordFile+" what was checked")
	flag.StringVar(&o.print, "print", "", "only print the model with these flags, for ProVerif's own options")
	flag.Parse()
	if o.print != "" {
		text, err := expand(os.DirFS(o.dir), modelFile, strings.Fields(o.print))
		if err != nil {
			fmt.Fprintln(os.Stderr, "model:", err)
			os.Exit(1)
		}
		fmt.Print(text)
		return
	}
	if o.proverif == "" {
		o.proverif = "proverif"
	}
	if _, err := exec.LookPath(o.proverif); err != nil {
		fmt.Fprint(os.Stderr, missing)
		os.Exit(3)
	}
	if err := run(o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "model:", err)
		os.Exit(1)
	}
}

// run checks the cases that were asked for.
func run(o options, out io.Writer) error {
	files := os.DirFS(o.dir)
	cases, err := readCases(files)
	if err != nil {
		return err
	}
	wrong, done := 0, 0
	for _, c := range cases {
		if !strings.Contains(c.Name, o.only) {
			continue
		}
		done++
		fmt.Fprintln(out, c.Name)
		for _, q := range c.Queries {
			ok, err := check(o, files, c, q, out)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", c.Name, q.Name, err)
			}
			if !ok {
				wrong++
			}
		}
	}
	fmt.Fprintf(out, "%d cases, %d answers are not as they have to be\n", done, wrong)
	switch {
	case wrong > 0:
		return errors.New("the model does not hold")
	case done == 0:
		return errors.New("no case has such a name")
	case o.record && done < len(cases):
		return errors.New("only a check of all cases is recorded")
	case o.record:
		return record(o, files)
	}
	return nil
}

// check asks one query, writes what came of it, and reports whether that is as it has to
// be.
func check(o options, files fs.FS, c Case, q Query, out io.Writer) (bool, error) {
	model, err := c.expand(files, q)
	if err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), o.timeout)
	defer cancel()
	began := time.Now()
	got, err := prove(ctx, o.proverif, model)
	if err != nil {
		return false, err
	}
	mark := ""
	if got != q.Want {
		mark = fmt.Sprintf("   WRONG: has to be %s", q.Want)
	}
	fmt.Fprintf(out, "    %-26s %-5s %5.0f s%s\n", q.Name, got, time.Since(began).Seconds(), mark)
	return got == q.Want, nil
}

// record notes which files were checked by which ProVerif.
func record(o options, files fs.FS) error {
	v, err := version(o.proverif)
	if err != nil {
		return err
	}
	digest, err := digestOf(files)
	if err != nil {
		return err
	}
	text := fmt.Sprintf("%s\n%s\n", digest, v)
	return os.WriteFile(filepath.Join(o.dir, recordFile), []byte(text), 0o644)
}
