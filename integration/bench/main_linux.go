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
	bin, json, variants, figures, loss string
	rounds, cpus, edges, communities   int
	seconds, orderRate                 float64
	quick, order, supernode, idle      bool
	fair                               bool
}

func parse() (f flags) {
	flag.StringVar(&f.bin, "bin", "bin", "`folder` of the commands edge and supernode")
	flag.IntVar(&f.rounds, "rounds", 3, "how often every variant is measured")
	flag.Float64Var(&f.seconds, "seconds", 10, "length of a run of datagrams without loss; the others are shorter in proportion")
	flag.IntVar(&f.cpus, "cpus", 2, "how many processors are used by all of it")
	flag.BoolVar(&f.quick, "quick", false, "one round of moments, for a look")
	flag.StringVar(&f.variants, "variants", "", "measure only these, as in direct,vxlan")
	flag.StringVar(&f.figures, "figures", "", "measure only these: ping, one, four, load, udp64, udp1200")
	flag.StringVar(&f.json, "json", "", "write every sample to `file`")
	flag.BoolVar(&f.order, "order", false, "instead: send 10 million numbered datagrams of four flows and look at their order")
	flag.Float64Var(&f.orderRate, "order-rate", 200e3, "datagrams a second of -order")
	flag.StringVar(&f.loss, "loss", "", "instead: TCP over a path that loses these `percentages`, as in 0.5,2,10")
	flag.BoolVar(&f.idle, "idle", false, "instead: how often edges and a supernode wake up that nobody uses")
	flag.BoolVar(&f.supernode, "supernode", false, "instead: a supernode with many edges on the loopback; needs no rights")
	flag.BoolVar(&f.fair, "fair", false, "instead: two communities at a supernode that cannot relay all; needs no rights")
	flag.IntVar(&f.edges, "edges", 2000, "how many edges -supernode has")
	flag.IntVar(&f.communities, "communities", 20, "how many communities the edges of -supernode belong to")
	flag.Parse()
	return f
}

func main() {
	if len(os.Args) == 3 && os.Args[1] == generateWord {
		if err := generate(os.Args[2], os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	f := parse()
	s, err := f.settings()
	if err != nil {
		rig.Usage("bench", err)
	}
	whole := func(ctx context.Context) error {
		if s.cpus, err = confine(f.cpus); err != nil {
			return err
		}
		return f.run(ctx, s)
	}
	if f.supernode || f.fair {
		rig.Run("bench", whole)
		return
	}
	rig.Main("bench", whole)
}

// settings checks the command line.
func (f flags) settings() (s settings, err error) {
	if f.rounds < 1 || f.cpus < 1 || !(f.seconds >= 1) || !(f.orderRate >= leastRate) {
		return s, fmt.Errorf("-rounds, -cpus and -seconds are at least 1, -order-rate is at least %d", leastRate)
	}
	if flag.NArg() > 0 {
		return s, fmt.Errorf("%q is no option", flag.Arg(0))
	}
	programs, err := rig.Built(f.bin)
	if err != nil {
		return s, err
	}
	s = settings{programs: programs, rounds: f.rounds, lengths: fullLengths(f.seconds)}
	if f.quick {
		s.rounds, s.lengths = 1, quickLengths
	}
	if s.variants, err = choose(f.variants, variants, func(v variant) string { return v.name }); err != nil {
		return s, err
	}
	s.figures, err = choose(f.figures, figures, func(g figure) string { return g.name })
	return s, err
}

// choose picks the named ones of a list, in the order of the list; an empty
// text picks all.
func choose[T any](text string, all []T, name func(T) string) (chosen []T, err error) {
	if text == "" {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, w := range strings.Split(text, ",") {
		wanted[strings.TrimSpace(w)] = true
	}
	var known []string
	for _, x := range all {
		known = append(known, name(x))
		if wanted[name(x)] {
			chosen = append(chosen, x)
			delete(wanted, name(x))
		}
	}
	for w := range wanted {
		return nil, fmt.Errorf("%q is none of %s", w, strings.Join(known, ", "))
	}
	return chosen, nil
}

// run does what the command line asks for.
func (f flags) run(ctx context.Context, s settings) error {
	others, err := disturbance(s.cpus)
	if err != nil {
		return err
	}
	if others > calm {
		fmt.Printf("Other processes use %.0f %% of the processors now: the figures will be too low, the ratios doubtful.\n", others*100)
	}
	switch {
	case f.supernode:
		return f.measureSupernode(ctx, s)
	case f.fair:
		return measureFairness(ctx, s, time.Duration(f.seconds*float64(time.Second)/2))
	case f.order:
		return checkOrder(ctx, s, f.orderRate)
	case f.idle:
		return countWakeUps(ctx, s, time.Duration(f.seconds*float64(6*time.Second)))
	case f.loss != "":
		return compareLoss(ctx, s, f.loss)
	}
	fmt.Printf("%d variants, %d rounds: about %v\n\n", len(s.variants), s.rounds, s.expected().Round(10*time.Second))
	c := &campaign{settings: s}
	if err := c.run(ctx); err != nil {
		return err
	}
	fmt.Println()
	c.printRatios(os.Stdout)
	fmt.Println()
	c.printTables(os.Stdout)
	if f.json != "" {
		if err := c.save(f.json); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return fmt.Errorf("interrupted: %w", ctx.Err())
	}
	if failed := c.failures(); len(failed) > 0 {
		return fmt.Errorf("not everything could be measured:\n  %s", strings.Join(failed, "\n  "))
	}
	return nil
}
