package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/integration/lab"
)

// Public addresses of the hosts of -loss, which meet on the lab's internet:
// there is a router on the way that can lose datagrams.
const (
	publicA     = "203.0.113.1"
	publicB     = "203.0.113.2"
	publicSuper = "203.0.113.3"
)

// buildInternet is two edges and a supernode on the internet, whose links carry
// single datagrams.
func buildInternet(ctx context.Context, s *scene, v variant) (err error) {
	if err := s.lab.DisableOffloads(); err != nil {
		return err
	}
	if s.a.host, err = s.lab.Host("a", publicA); err != nil {
		return err
	}
	if s.b.host, err = s.lab.Host("b", publicB); err != nil {
		return err
	}
	super, err := s.lab.Host("super", publicSuper)
	if err != nil {
		return err
	}
	return s.enter(ctx, v, super, publicSuper+superPort, publicSuper+superPort)
}

// compareLoss measures one TCP stream while the path loses a share of its
// datagrams in either direction: what is gained by moving many frames at once
// must not be lost with a few of them.
func compareLoss(ctx context.Context, s settings, text string) error {
	percents, err := parsePercents(text)
	if err != nil {
		return err
	}
	if len(s.variants) == len(variants) {
		s.variants, _ = choose("v0,direct", variants, func(v variant) string { return v.name })
	}
	c := &campaign{settings: s}
	for r := range s.rounds {
		for turn := range s.variants {
			v := s.variants[(r+turn)%len(s.variants)]
			if !v.edges() || v.path != control.PathDirect {
				return fmt.Errorf("-loss measures edges with a direct path, and %s is something else", v.name)
			}
			o := outcome{Round: r + 1, Variant: v.name, Values: values{}}
			if err := c.lossy(ctx, v, percents, o.Values); err != nil {
				return fmt.Errorf("%s: %w", v.name, err)
			}
			c.outcomes = append(c.outcomes, o)
			fmt.Fprintf(os.Stderr, "round %d of %d  %-7s %v\n", r+1, s.rounds, v.name, o.Values)
		}
	}
	c.printLoss(percents)
	return nil
}

func parsePercents(text string) (list []float64, err error) {
	list = []float64{0} // what the others are compared with
	for _, word := range strings.Split(text, ",") {
		p, err := strconv.ParseFloat(strings.TrimSpace(word), 64)
		if err != nil || !(p > 0 && p < 100) {
			return nil, fmt.Errorf("-loss %s: %q is no percentage above 0 and below 100", text, word)
		}
		list = append(list, p)
	}
	return list, nil
}

// lossKey names the value of one percentage.
func lossKey(percent float64) string { return strconv.FormatFloat(percent, 'g', -1, 64) + "%" }

// lossy measures one variant at each percentage.
func (c *campaign) lossy(ctx context.Context, v variant, percents []float64, into values) error {
	v.build = buildInternet
	return c.within(ctx, v, func(s *scene) error { return c.loseAll(ctx, s, percents, into) })
}

// loseAll measures one stream at each percentage.
func (c *campaign) loseAll(ctx context.Context, s *scene, percents []float64, into values) error {
	for _, percent := range percents {
		if err := s.lab.Internet().SetLoss(percent, lab.UDP); err != nil {
			return err
		}
		before, err := s.lab.Internet().Counters()
		if err != nil {
			return err
		}
		there, back, err := both(ctx, s, 1, c.lengths)
		if err != nil {
			return fmt.Errorf("at %v %%: %w", percent, err)
		}
		after, err := s.lab.Internet().Counters()
		if err != nil {
			return err
		}
		// Several datagrams in one packet would be lost together.
		if n := after.Oversize.Packets - before.Oversize.Packets; n > 0 {
			return fmt.Errorf("%d packets on the way held several datagrams each", n)
		}
		key := lossKey(percent)
		into[key] = (there.gbits() + back.gbits()) / 2
		into[key+" lost"] = 100 * float64(after.Lost.Packets-before.Lost.Packets) / float64(after.Forwarded.Packets-before.Forwarded.Packets)
	}
	return nil
}

// printLoss prints the rates, and what the last variant has of the first one's.
func (c *campaign) printLoss(percents []float64) {
	fmt.Printf("One TCP stream over a path that loses datagrams, Gbit/s; %s\n\n", machine(c.cpus))
	head, rule := "| Loss % |", "|---|"
	for _, v := range c.variants {
		head, rule = head+" "+v.title+" |", rule+"---|"
	}
	first, last := c.variants[0].name, c.variants[len(c.variants)-1].name
	fmt.Printf("%s %s / %s |\n%s---|\n", head, last, first, rule)
	for _, percent := range percents {
		key := lossKey(percent)
		line := "| " + strings.TrimSuffix(key, "%") + " |"
		for _, v := range c.variants {
			if s, ok := c.spread(v, key); ok {
				line += " " + s.text(digits(3)) + " |"
			}
		}
		var ratios []float64
		for _, r := range c.byRound() {
			ratios = append(ratios, r[last][key]/r[first][key])
		}
		if s, ok := spreadOf(ratios); ok {
			line += " " + s.text(digits(2)) + " |"
		}
		fmt.Println(line)
	}
}
