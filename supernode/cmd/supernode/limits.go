package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"hedgerow/internal/cli"
	"hedgerow/internal/textfile"
	"hedgerow/supernode"
)

// limit is one that --limit sets: a count, a rate a second, or bytes a month.
type limit struct {
	name  string
	what  string // as docs/supernode.md has it
	count func(l *supernode.Limits) *int
	rate  func(l *supernode.Limits) *float64
	month func(l *supernode.Limits) *uint64
}

// mostCount bounds a count: what is made of it fits a word of 32 bits.
const mostCount = 1 << 24

// limits are all of them.
var limits = []limit{
	{name: "edges", what: "edges that are registered, in all", count: func(l *supernode.Limits) *int { return &l.Edges }},
	{name: "communities", what: "communities", count: func(l *supernode.Limits) *int { return &l.Communities }},
	{name: "community-edges", what: "edges of one community", count: func(l *supernode.Limits) *int { return &l.CommunityEdges }},
	{name: "source-edges", what: "edges from one IPv4 address or IPv6 /64", count: func(l *supernode.Limits) *int { return &l.SourceEdges }},
	{name: "guests", what: "sessions of edges that have not registered yet", count: func(l *supernode.Limits) *int { return &l.Guests }},
	{name: "inits", what: "handshakes a second from which on strangers have to prove their address", count: func(l *supernode.Limits) *int { return &l.InitRate }},
	{name: "edge-bytes", what: "bytes a second relayed for one edge", rate: func(l *supernode.Limits) *float64 { return &l.EdgeBytes }},
	{name: "community-bytes", what: "bytes a second relayed for one community", rate: func(l *supernode.Limits) *float64 { return &l.CommunityBytes }},
	{name: "edge-copies", what: "copies a second of what one edge sends to everybody", rate: func(l *supernode.Limits) *float64 { return &l.EdgeFloods }},
	{name: "source-copies", what: "the same of all edges at one IPv4 address or IPv6 /64", rate: func(l *supernode.Limits) *float64 { return &l.SourceFloods }},
	{name: "community-copies", what: "the same of one community", rate: func(l *supernode.Limits) *float64 { return &l.CommunityFloods }},
	{name: "line-bytes", what: "bytes a second relayed in all, headers included", rate: func(l *supernode.Limits) *float64 { return &l.LineBytes }},
	{name: "line-month", what: "bytes a calendar month relayed in all, headers included", month: func(l *supernode.Limits) *uint64 { return &l.Month.All }},
	{name: "community-month", what: "the same of one community", month: func(l *supernode.Limits) *uint64 { return &l.Month.Community }},
	{name: "edge-month", what: "the same of one edge, in all its communities", month: func(l *supernode.Limits) *uint64 { return &l.Month.Edge }},
	{name: "source-month", what: "the same of all edges at one IPv4 address or IPv6 /64", month: func(l *supernode.Limits) *uint64 { return &l.Month.Source }},
}

// limitFlag is --limit.
func limitFlag() ucli.Flag {
	return &ucli.StringSliceFlag{Name: "limit", Usage: "`LIST` of NAME=NUMBER, where k, M, G and T may stand behind the number, such as community-edges=50,line-month=900GB; docs/supernode.md has the names; may be repeated"}
}

// parseLimits reads --limit, or SUPERNODE_LIMIT.
func (cmd *command) parseLimits(c *ucli.Context, faults *cli.Faults) (l supernode.Limits) {
	lists := cli.Strings(c, "limit")
	if len(lists) == 0 {
		lists = []string{cmd.place.Env("SUPERNODE_LIMIT")}
	}
	for item := range strings.SplitSeq(strings.Join(lists, ","), ",") {
		if item = strings.TrimSpace(item); item != "" {
			faults.Add(setLimit(&l, item))
		}
	}
	return l
}

// setLimit sets the limit of one NAME=NUMBER.
func setLimit(l *supernode.Limits, item string) error {
	name, text, _ := strings.Cut(item, "=")
	at := slices.IndexFunc(limits, func(known limit) bool { return known.name == name })
	if at < 0 {
		var names []string
		for _, known := range limits {
			names = append(names, known.name)
		}
		return fmt.Errorf("--limit %s: unknown limit %q: the nearest one is %q, and others are %s", item, name, textfile.NearestWord(name, names), strings.Join(names, ", "))
	}
	n, err := parseNumber(text)
	if err != nil {
		return fmt.Errorf("--limit %s: %w", item, err)
	}
	switch known := limits[at]; {
	case known.month != nil:
		*known.month(l) = n
	case known.rate != nil:
		*known.rate(l) = float64(n)
	case n > mostCount:
		return fmt.Errorf("--limit %s: %d is the most", item, mostCount)
	default:
		*known.count(l) = int(n)
	}
	return nil
}

// mostNumber bounds what parseNumber reads.
const mostNumber = 1e15

// parseNumber reads a whole number from 1 to mostNumber with a decimal unit, behind which B may
// stand for bytes.
func parseNumber(text string) (uint64, error) {
	digits, unit := text, uint64(1)
	short := strings.TrimSuffix(text, "B")
	for suffix, value := range map[string]uint64{"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12} {
		if d, ok := strings.CutSuffix(short, suffix); ok {
			digits, unit = d, value
		}
	}
	n, err := strconv.ParseUint(digits, 10, 64)
	if err != nil || n == 0 || n > mostNumber/unit {
		return 0, fmt.Errorf("%q is no whole number from 1 to 1000T, such as 500, 20k, 5M, 1G or 1500GB", text)
	}
	return n * unit, nil
}
