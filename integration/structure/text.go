package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// text renders reports: what is worst in each, side by side, then a table of the
// packages for each.
func text(reports []report, verbose bool) string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprint(w, "The worst of all packages")
	for _, r := range reports {
		fmt.Fprintf(w, "\t%s", r.Dir)
	}
	fmt.Fprintln(w)
	for _, row := range summary {
		fmt.Fprint(w, row.what)
		for i := range reports {
			fmt.Fprintf(w, "\t%s", row.of(&reports[i]))
		}
		fmt.Fprintln(w)
	}
	for i, s := range reports[0].Stories {
		fmt.Fprintf(w, "files of edge in the story of %s", s.Story)
		for _, r := range reports {
			fmt.Fprintf(w, "\t%s", r.Stories[i].text())
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	for i := range reports {
		reports[i].packages(&b)
		reports[i].references(&b)
		if verbose {
			reports[i].details(&b)
		}
	}
	return b.String()
}

// text is a story in a cell of the table.
func (s *toldStory) text() string {
	if len(s.Missing) > 0 {
		return "nothing here is where " + strings.Join(s.Missing, "; where ")
	}
	return fmt.Sprintf("%d; %d if nobody stops", len(s.Files), s.Whole)
}

// summary are the rows of the first table.
var summary = []struct {
	what string
	of   func(r *report) string
}{
	{"methods on one type", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return p.mostMethods().Methods })
		return fmt.Sprintf("%d on %s.%s", p.mostMethods().Methods, p.Path, p.mostMethods().Type)
	}},
	{"fields within reach of one type", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return p.mostFields().Reachable })
		return fmt.Sprintf("%d of %s.%s", p.mostFields().Reachable, p.Path, p.mostFields().Type)
	}},
	{"functions past 50 lines", func(r *report) string {
		n := 0
		for _, p := range r.Packages {
			n += len(p.Lengths.Past)
		}
		return fmt.Sprint(n)
	}},
	{"lines of the longest function", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return p.Lengths.Longest.Lines })
		return fmt.Sprintf("%d: %s.%s", p.Lengths.Longest.Lines, p.Path, p.Lengths.Longest.Name)
	}},
	{"deepest statement", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return p.Lengths.Deepest.Depth })
		return fmt.Sprintf("%d: %s.%s", p.Lengths.Deepest.Depth, p.Path, p.Lengths.Deepest.Name)
	}},
	{"files in a cycle by names", cycleRow(func(c *cycles) []string { return c.Names })},
	{"files in a cycle by calls", cycleRow(func(c *cycles) []string { return c.Calls })},
	{"the same through interfaces", cycleRow(func(c *cycles) []string { return c.Through })},
	{"the same among methods of the largest type", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return len(p.Cycles.Methods) })
		return fmt.Sprintf("%d of %d in %s", len(p.Cycles.Methods), p.Cycles.MethodFiles, p.Path)
	}},
	{"functions in a cycle", func(r *report) string {
		p := r.worst(func(p *packageReport) int { return len(p.Cycles.Functions) })
		return fmt.Sprintf("%d in %s", len(p.Cycles.Functions), p.Path)
	}},
	{"exported identifiers with comments", func(r *report) string {
		all, with := 0, 0
		for _, p := range r.Packages {
			all, with = all+p.Exported, with+p.Commented
		}
		return fmt.Sprintf("%d %% of %d", 100*with/max(all, 1), all)
	}},
}

// cycleRow is a row of the largest cycle of files of one kind.
func cycleRow(of func(*cycles) []string) func(*report) string {
	return func(r *report) string {
		p := r.worst(func(p *packageReport) int { return len(of(&p.Cycles)) })
		return fmt.Sprintf("%d of %d in %s", len(of(&p.Cycles)), p.Files, p.Path)
	}
}

// worst returns the package of which there is most.
func (r *report) worst(of func(*packageReport) int) *packageReport {
	worst := &r.Packages[0]
	for i := range r.Packages {
		if of(&r.Packages[i]) > of(worst) {
			worst = &r.Packages[i]
		}
	}
	return worst
}

// packages prints the table of packages.
func (r *report) packages(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: packages\n", r.Dir)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "package\tfiles\tfunctions\tp50\tp90\tmax\tdepth\tmost methods\tmost fields (in the struct)\tcycle by names\tcalls\tinterfaces\tcommented")
	for i := range r.Packages {
		p := &r.Packages[i]
		m, f := p.mostMethods(), p.mostFields()
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s %d+%d\t%s %d (%d)\t%d\t%d\t%d\t%d/%d\n",
			p.Path, p.Files, p.Functions, p.Lengths.P50, p.Lengths.P90, p.Lengths.Longest.Lines, p.Lengths.Deepest.Depth,
			m.Type, m.Methods, m.Promoted, f.Type, f.Reachable, f.Fields,
			len(p.Cycles.Names), len(p.Cycles.Calls), len(p.Cycles.Through), p.Commented, p.Exported)
	}
	w.Flush()
}

// references prints how often packages name what others declare.
func (r *report) references(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s: references between packages\n", r.Dir)
	from := ""
	for _, ref := range r.References {
		if ref.From != from {
			if from != "" {
				fmt.Fprintln(b)
			}
			from = ref.From
			fmt.Fprintf(b, "%s:", from)
		}
		fmt.Fprintf(b, " %s %d", ref.To, ref.Count)
	}
	fmt.Fprintln(b)
}

// details names what the tables count.
func (r *report) details(b *strings.Builder) {
	for _, p := range r.Packages {
		for _, f := range p.Lengths.Past {
			fmt.Fprintf(b, "\n%s/%s: %s has %d lines", p.Path, f.File, f.Name, f.Lines)
		}
	}
	for _, p := range r.Packages {
		if len(p.Cycles.Calls) > 0 {
			fmt.Fprintf(b, "\n%s: a cycle by calls: %s", p.Path, strings.Join(p.Cycles.Calls, " "))
		}
	}
	for _, s := range r.Stories {
		fmt.Fprintf(b, "\n\n%s: %s\n", s.Story, strings.Join(slices.Sorted(maps.Keys(s.Files)), " "))
		for _, f := range s.Functions {
			fmt.Fprintf(b, "  %s\n", f)
		}
		fmt.Fprintf(b, "  calls besides: %s\n", strings.Join(s.Others, " "))
	}
}
