package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// spread is the median of some values, with the lowest and the highest.
type spread struct{ Median, Low, High float64 }

func spreadOf(list []float64) (s spread, ok bool) {
	if len(list) == 0 {
		return s, false
	}
	sorted := slices.Sorted(slices.Values(list))
	middle := sorted[len(sorted)/2]
	if len(sorted)%2 == 0 {
		middle = (middle + sorted[len(sorted)/2-1]) / 2
	}
	return spread{middle, sorted[0], sorted[len(sorted)-1]}, true
}

// text prints the median and, where there are several values, the spread.
func (s spread) text(format func(float64) string) string {
	middle, low, high := format(s.Median), format(s.Low), format(s.High)
	if low == middle && high == middle {
		return middle
	}
	return fmt.Sprintf("%s (%s..%s)", middle, low, high)
}

// A round is the values of every variant in one round.
type round map[string]values

// rounds sorts the outcomes.
func (c *campaign) byRound() []round {
	list := make([]round, c.rounds)
	for _, o := range c.outcomes {
		if list[o.Round-1] == nil {
			list[o.Round-1] = round{}
		}
		list[o.Round-1][o.Variant] = o.Values
	}
	return list
}

// A promise is a number that the product is held to. It is taken within each
// round, from values that are named variant/key.
type promise struct {
	text      string
	of        func(x []float64) float64
	from      []string
	bound     float64 // 0: none, only shown
	most      bool    // the bound is the most allowed, not the least
	precision int     // digits after the point
}

func quotient(x []float64) float64   { return x[0] / x[1] }
func difference(x []float64) float64 { return x[0] - x[1] }
func itself(x []float64) float64     { return x[0] }
func thousandth(x []float64) float64 { return x[0] / 1000 }

var promises = []promise{
	{text: "one stream, direct / VXLAN", of: quotient, from: []string{"direct/one", "vxlan/one"}, bound: 0.45, precision: 2},
	{text: "one stream, direct / V0", of: quotient, from: []string{"direct/one", "v0/one"}, bound: 9, precision: 1},
	{text: "four streams / one stream, direct", of: quotient, from: []string{"direct/four", "direct/one"}, precision: 2},
	{text: "64-byte datagrams, direct / VXLAN", of: quotient, from: []string{"direct/udp64", "vxlan/udp64"}, bound: 1.3, precision: 2},
	{text: "64-byte datagrams, direct / V0", of: quotient, from: []string{"direct/udp64", "v0/udp64"}, precision: 2},
	{text: "delivered at twice the rate / rate without loss, direct", of: itself, from: []string{"direct/udp64-share"}, bound: 0.95, precision: 2},
	{text: "one stream, relayed / direct", of: quotient, from: []string{"relay/one", "direct/one"}, bound: 0.30, precision: 2},
	{text: "64-byte datagrams, relayed / direct", of: quotient, from: []string{"relay/udp64", "direct/udp64"}, bound: 0.5, precision: 2},
	{text: "one stream, water / native", of: quotient, from: []string{"water/one", "direct/one"}, precision: 2},
	{text: "one stream, hosts of two bridged LANs / edges, MTU 1500", of: quotient, from: []string{"lan1500/one", "flat1500/one"}, bound: 0.9, precision: 2},
	{text: "one stream, hosts of two bridged LANs / edges, MTU 9000", of: quotient, from: []string{"lan9000/one", "flat9000/one"}, bound: 0.9, precision: 2},
	{text: "one stream, ChaCha20-Poly1305 / AES-256-GCM", of: quotient, from: []string{"chacha/one", "direct/one"}, precision: 2},
	{text: "one stream, AES-256-GCM / no encryption", of: quotient, from: []string{"direct/one", "clear/one"}, precision: 2},
	{text: "idle ping p50, direct - raw veth, us", of: difference, from: []string{"direct/ping-p50", "veth/ping-p50"}, bound: 90, most: true},
	{text: "ping p99 beside a stream, direct, ms", of: thousandth, from: []string{"direct/load-p99"}, bound: 5, most: true, precision: 2},
	{text: "CPU seconds per GB, direct, both ends", of: itself, from: []string{"direct/cpu"}, bound: 1.5, most: true, precision: 2},
	{text: "resident memory of an edge, direct, MB", of: itself, from: []string{"direct/rss"}, bound: 40, most: true, precision: 1},
}

// value returns what the promise is about in one round.
func (p promise) value(r round) (float64, bool) {
	var list []float64
	for _, name := range p.from {
		variant, key, _ := strings.Cut(name, "/")
		x, ok := r[variant][key]
		if !ok {
			return 0, false
		}
		list = append(list, x)
	}
	x := p.of(list)
	return x, !math.IsNaN(x) && !math.IsInf(x, 0)
}

// printRatios prints a line for each promise of which there are values.
func (c *campaign) printRatios(w io.Writer) {
	fmt.Fprintf(w, "Ratios: median of %d rounds (lowest..highest), and what is wanted\n\n", c.rounds)
	for _, p := range promises {
		var list []float64
		for _, r := range c.byRound() {
			if x, ok := p.value(r); ok {
				list = append(list, x)
			}
		}
		s, ok := spreadOf(list)
		if !ok {
			continue
		}
		fmt.Fprintln(w, p.line(s))
	}
}

// line says what was found, what is wanted, and whether it is met.
func (p promise) line(s spread) string {
	line := fmt.Sprintf("%-56s %-24s", p.text, s.text(digits(p.precision)))
	if p.bound != 0 {
		sign, met := ">=", s.Median >= p.bound
		if p.most {
			sign, met = "<=", s.Median <= p.bound
		}
		verdict := "MISSED"
		if met {
			verdict = "ok"
		}
		line += fmt.Sprintf(" (%s %v) %s", sign, p.bound, verdict)
	}
	return strings.TrimRight(line, " ")
}

// digits formats with so many digits after the point.
func digits(precision int) func(float64) string {
	return func(x float64) string { return strconv.FormatFloat(x, 'f', precision, 64) }
}

// significant formats with two digits that say something, as in 0.69 and 16.5.
func significant(x float64) string {
	if math.Abs(x) >= 10 {
		return digits(1)(x)
	}
	return digits(2)(x)
}

func kilo(x float64) string   { return digits(0)(x/1000) + "k" }
func millis(x float64) string { return significant(x / 1000) }

// A column is one figure in a table.
type column struct {
	title, key string
	format     func(float64) string
}

// The two tables.
var tables = [][]column{
	{
		{"one stream Gbit/s", "one", significant},
		{"four streams", "four", significant},
		{"CPU s/GB", "cpu", significant},
		{"of it edges and supernode", "cpu-edges", significant},
		{"ping p50 us", "ping-p50", digits(0)},
		{"ping p99 us", "ping-p99", digits(0)},
		{"ping beside a stream p99 ms", "load-p99", millis},
	},
	{
		{"64 bytes without loss /s", "udp64", kilo},
		{"of twice that offered", "udp64-offered", kilo},
		{"delivered", "udp64-delivered", kilo},
		{"1200 bytes without loss /s", "udp1200", kilo},
		{"of twice that delivered", "udp1200-delivered", kilo},
		{"edge RSS MB", "rss", digits(1)},
		{"edge peak MB", "hwm", digits(1)},
	},
}

// printTables prints all figures in Markdown.
func (c *campaign) printTables(w io.Writer) {
	fmt.Fprintf(w, "%s; %s; median of %d rounds (lowest..highest).\n", machine(c.cpus), time.Now().UTC().Format(time.DateOnly), c.rounds)
	if c.stolen >= calm {
		fmt.Fprintf(w, "The hypervisor kept %.0f %% of the processors' time for others: the figures are too low.\n", c.stolen*100)
	}
	for _, columns := range tables {
		// A column of which nothing was measured is left out.
		columns = slices.DeleteFunc(slices.Clone(columns), func(k column) bool {
			return !slices.ContainsFunc(c.variants, func(v variant) bool { _, ok := c.spread(v, k.key); return ok })
		})
		if len(columns) == 0 {
			continue
		}
		head, rule := "| Variant |", "|---|"
		for _, k := range columns {
			head, rule = head+" "+k.title+" |", rule+"---|"
		}
		fmt.Fprintf(w, "\n%s\n%s\n", head, rule)
		for _, v := range c.variants {
			fmt.Fprintln(w, c.row(v, columns))
		}
	}
}

// row is the line of a variant in a table.
func (c *campaign) row(v variant, columns []column) string {
	line := "| " + v.title + " |"
	for _, k := range columns {
		cell := ""
		if s, ok := c.spread(v, k.key); ok {
			cell = s.text(k.format)
		}
		line += " " + cell + " |"
	}
	return line
}

// spread collects a value of a variant over the rounds.
func (c *campaign) spread(v variant, key string) (spread, bool) {
	var list []float64
	for _, o := range c.outcomes {
		if x, ok := o.Values[key]; ok && o.Variant == v.name {
			list = append(list, x)
		}
	}
	return spreadOf(list)
}
