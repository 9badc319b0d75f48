package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// times are those of the runs that became direct, in order.
func (t tally) times() (list []float64) {
	for _, o := range t.outcomes {
		if o.Direct > 0 {
			list = append(list, o.Direct)
		}
	}
	slices.Sort(list)
	return list
}

// percentile returns the value that this share of a sorted list does not
// exceed (nearest rank).
func percentile(sorted []float64, share float64) float64 {
	return sorted[max(0, int(math.Ceil(share*float64(len(sorted))))-1)]
}

// lost is how many datagrams did not come back in all runs, and in the worst.
func (t tally) lost() (all, worst int) {
	for _, o := range t.outcomes {
		all, worst = all+o.Lost, max(worst, o.Lost)
	}
	return all, worst
}

// ratio is how many runs were as they must be, of how many.
func (t tally) ratio() string {
	return fmt.Sprintf("%d/%d", len(t.outcomes)-t.missed(), len(t.outcomes))
}

// spread is p50, p95 and the longest time until both were direct, in seconds.
func (t tally) spread() (texts [3]string) {
	list := t.times()
	for i, share := range []float64{0.50, 0.95, 1} {
		texts[i] = "-"
		if len(list) > 0 {
			texts[i] = fmt.Sprintf("%.2f", percentile(list, share))
		}
	}
	return texts
}

// reasons are why runs were not as they must be, each once.
func (t tally) reasons() (list []string) {
	for _, o := range t.outcomes {
		if o.Missed != "" && !slices.Contains(list, o.Missed) {
			list = append(list, o.Missed)
		}
	}
	return list
}

// mostReasons is how many of them a line shows.
const mostReasons = 2

// String is the line of a cell.
func (t tally) String() string {
	s := t.spread()
	_, worst := t.lost()
	line := fmt.Sprintf("%-32s %-8s %7s  p50 %5s  p95 %5s  max %5s s  lost %d", t.name, t.want, t.ratio(), s[0], s[1], s[2], worst)
	if t.verdict == passed {
		return line + "  ok"
	}
	reasons := t.reasons()
	line += "  FAILED: " + strings.Join(reasons[:min(mostReasons, len(reasons))], "; ")
	if more := len(reasons) - mostReasons; more > 0 {
		line += fmt.Sprintf("; and %d more", more)
	}
	return line
}

// String is the line of a run.
func (o outcome) String() string {
	text := fmt.Sprintf("%s %d, %s first: %s", o.Cell, o.Number, o.Opener, o.Path)
	if o.Direct > 0 {
		text += fmt.Sprintf(" after %.2f s", o.Direct)
	}
	text += fmt.Sprintf(", %d of %d lost, connections %v %s", o.Lost, o.Sent, o.Connections, o.Endpoint)
	if o.Missed != "" {
		text += "  MISSED: " + o.Missed
	}
	return text
}

// machine names what it ran on.
func machine() string {
	kernel := "?"
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		kernel = unix.ByteSliceToString(u.Release[:])
	}
	return fmt.Sprintf("%s, %d processors, Linux %s, %s", runtime.GOARCH, runtime.NumCPU(), kernel, runtime.Version())
}

// save writes every run to a file.
func (c *campaign) save(path string) error {
	var outcomes []outcome
	for _, t := range c.tallies {
		outcomes = append(outcomes, t.outcomes...)
	}
	text, err := json.MarshalIndent(struct {
		Machine  string
		Time     time.Time
		Outcomes []outcome
	}{machine(), time.Now().UTC(), outcomes}, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

// markdown is the page of a campaign.
func (c *campaign) markdown(command string, now time.Time) string {
	var b strings.Builder
	b.WriteString("# Which NATs let two edges meet directly\n\n")
	fmt.Fprintf(&b, "Measured %s on %s, by\n\n    %s\n\n", now.UTC().Format(time.DateOnly), machine(), command)
	b.WriteString("Runs that were as they must be, of all, and the median time from the first\nunicast frame until both ends were direct. Names and rules are those of\n`integration/natmatrix`.\n\n")
	c.writeMatrix(&b)
	b.WriteString("\n## Every cell\n\n| A x B | must be | as it must be | p50 s | p95 s | max s | lost, worst run | |\n|---|---|---|---|---|---|---|---|\n")
	for _, t := range c.tallies {
		s := t.spread()
		_, worst := t.lost()
		word := "ok"
		if t.verdict != passed {
			word = "**failed**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s | %d | %s |\n", t.name, t.want, t.ratio(), s[0], s[1], s[2], worst, word)
	}
	return b.String()
}

// writeMatrix writes the matrix of the classes, as far as it was run.
func (c *campaign) writeMatrix(b *strings.Builder) {
	b.WriteString("| A \\ B |")
	for _, m := range matrix {
		fmt.Fprintf(b, " %s |", m.name)
	}
	b.WriteString("\n|---" + strings.Repeat("|---", len(matrix)) + "|\n")
	for i, row := range matrix {
		fmt.Fprintf(b, "| %s |", row.name)
		for j, column := range matrix {
			text := ""
			if j >= i {
				text = c.square(row.name + " x " + column.name)
			}
			b.WriteString(" " + text + " |")
		}
		b.WriteString("\n")
	}
}

// square is what the matrix says about a cell.
func (c *campaign) square(name string) string {
	i := slices.IndexFunc(c.tallies, func(t tally) bool { return t.name == name })
	if i < 0 {
		return "not run"
	}
	t := c.tallies[i]
	text := t.want.String() + " " + t.ratio()
	if s := t.spread(); len(t.times()) > 0 {
		text += " " + s[0] + " s"
	}
	if t.verdict != passed {
		return "**" + text + "**"
	}
	return text
}
