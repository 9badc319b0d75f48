package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"hedgerow/integration/rig"
)

// lengths says how long everything takes.
type lengths struct {
	warmup  time.Duration // of a TCP run
	stream  time.Duration // of one TCP stream in one direction; half of it for four
	probe   time.Duration // of a short trial of datagrams
	confirm time.Duration // of a full one of 64 bytes; a quarter for 1200
	twice   time.Duration // of the trial at twice the rate
	pings   int           // on an idle path
	close   float64       // see search
	again   int           // see search
}

const (
	pingGap = 5 * time.Millisecond
	loadGap = 10 * time.Millisecond
)

func fullLengths(seconds float64) lengths {
	long := time.Duration(seconds * float64(time.Second))
	return lengths{
		warmup: 300 * time.Millisecond, stream: long * 2 / 5, probe: 600 * time.Millisecond,
		confirm: long, twice: long / 5, pings: 1000, close: 1.03, again: 2,
	}
}

// quickLengths are for a look: the figures come from moments.
var quickLengths = lengths{
	warmup: 100 * time.Millisecond, stream: 500 * time.Millisecond, probe: 200 * time.Millisecond,
	confirm: time.Second, twice: 400 * time.Millisecond, pings: 100, close: 1.15,
}

// A figure is one thing that is measured of every variant.
type figure struct {
	name    string
	measure func(c *campaign, ctx context.Context, s *scene, v variant, into values) error
	expect  func(l lengths) time.Duration // roughly
}

// values are what was measured of one variant in one round, by their keys.
type values map[string]float64

// figures are all that can be measured, in this order: the idle path first, so
// that no queue of a load is left.
var figures = []figure{
	{"ping", (*campaign).idle, func(l lengths) time.Duration { return time.Duration(l.pings) * pingGap }},
	{"one", (*campaign).one, func(l lengths) time.Duration { return 2 * (l.warmup + l.stream) }},
	{"four", (*campaign).four, func(l lengths) time.Duration { return 2*l.warmup + l.stream }},
	{"load", (*campaign).loaded, func(l lengths) time.Duration { return l.stream + l.warmup }},
	{"udp64", (*campaign).small, func(l lengths) time.Duration { return 5*l.probe + 4*l.confirm/3 + l.twice + time.Second }},
	{"udp1200", (*campaign).large, func(l lengths) time.Duration { return 5*l.probe + l.confirm/3 + l.twice + time.Second }},
}

// settings are what the command line says about a campaign.
type settings struct {
	programs rig.Programs
	rounds   int
	lengths  lengths
	variants []variant
	figures  []figure
	cpus     []int
	// keepOrder makes cables that never reorder a flow, and are slower.
	keepOrder bool
}

// outcome is what one variant gave in one round.
type outcome struct {
	Round   int
	Variant string
	Values  values
	Failed  string `json:",omitempty"` // why something is missing
}

// A campaign measures every variant in every round.
type campaign struct {
	settings
	hints    map[string]float64 // rates without loss of earlier rounds
	outcomes []outcome
	stolen   float64 // share of the processors' time that a hypervisor kept
}

// expected is how long the campaign takes, roughly.
func (s settings) expected() time.Duration {
	const around = 2 * time.Second // to make a scene and take it away
	var sum time.Duration
	for _, v := range s.variants {
		sum += around
		for _, f := range s.figures {
			if v.measures(f) {
				sum += f.expect(s.lengths)
			}
		}
	}
	return sum * time.Duration(s.rounds)
}

// run measures everything, and what the hypervisor kept meanwhile.
func (c *campaign) run(ctx context.Context) error {
	before, err := readTimes(c.cpus, nil)
	if err != nil {
		return err
	}
	began := time.Now()
	c.visitAll(ctx, began)
	after, err := readTimes(c.cpus, nil)
	c.stolen = (after.stolen - before.stolen) / time.Since(began).Seconds() / float64(len(c.cpus))
	return err
}

// visitAll goes on when a variant fails.
func (c *campaign) visitAll(ctx context.Context, began time.Time) {
	c.hints = make(map[string]float64)
	for round := range c.rounds {
		for turn := range c.variants {
			// Another variant begins each round: what the machine does over
			// time falls on all of them.
			v := c.variants[(round+turn)%len(c.variants)]
			if ctx.Err() != nil {
				return
			}
			o := outcome{Round: round + 1, Variant: v.name, Values: values{}}
			if err := c.visit(ctx, v, o.Values); err != nil {
				o.Failed = err.Error()
			}
			c.outcomes = append(c.outcomes, o)
			fmt.Fprintf(os.Stderr, "%5.0f s  round %d of %d  %-7s %s\n", time.Since(began).Seconds(), round+1, c.rounds, v.name, o.line())
		}
	}
}

// visit measures one variant once.
func (c *campaign) visit(ctx context.Context, v variant, into values) error {
	return c.within(ctx, v, func(s *scene) error { return c.measureAll(ctx, s, v, into) })
}

// within makes the scene of a variant for f, shows what its programs said if
// something fails, and takes it away.
func (c *campaign) within(ctx context.Context, v variant, f func(*scene) error) error {
	s, err := stage(ctx, c.settings, v)
	if err == nil {
		err = f(s)
	}
	if err != nil {
		fmt.Fprint(os.Stderr, s.logs())
	}
	return errors.Join(err, s.close())
}

// measureAll measures every figure of a variant.
func (c *campaign) measureAll(ctx context.Context, s *scene, v variant, into values) (err error) {
	for _, f := range c.figures {
		if !v.measures(f) {
			continue
		}
		if err := f.measure(c, ctx, s, v, into); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	if !v.edges() {
		return nil
	}
	into["rss"], into["hwm"], err = s.memory()
	return err
}

// line says in a few words what a variant gave.
func (o outcome) line() string {
	var words []string
	for _, w := range []struct{ key, format string }{
		{"one", "%.2f Gbit/s"}, {"four", "four %.2f"}, {"udp64", "64 B %.0f/s"}, {"udp1200", "1200 B %.0f/s"},
		{"ping-p50", "ping %.0f us"}, {"load-p99", "under load p99 %.0f us"},
	} {
		if x, ok := o.Values[w.key]; ok {
			words = append(words, fmt.Sprintf(w.format, x))
		}
	}
	if o.Failed != "" {
		first, _, _ := strings.Cut(o.Failed, "\n")
		words = append(words, "FAILED: "+first)
	}
	return strings.Join(words, ", ")
}

// failures lists what could not be measured.
func (c *campaign) failures() (list []string) {
	for _, o := range c.outcomes {
		if o.Failed != "" {
			first, _, _ := strings.Cut(o.Failed, "\n")
			list = append(list, fmt.Sprintf("%s, round %d: %s", o.Variant, o.Round, first))
		}
	}
	return list
}
