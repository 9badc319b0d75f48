package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// Routes writes the table of the networks behind other edges, and those behind this one.
// The error is the writer's.
func Routes(w io.Writer, v control.Routes) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NETWORK\tEDGE\tID\tVIA\tCOST\tSTATE")
	for _, r := range v.Routes {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", format.Printable(r.Prefix), format.Printable(r.Edge), format.Printable(r.ID),
			orAbsent(format.Printable(r.Via)), costText(r.Cost), format.Printable(routeState(r)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	var s sheet
	s.blank()
	s.row("behind this edge", "%s", orAbsent(format.Printable(strings.Join(v.Announced, " "))))
	return s.writeTo(w)
}

// RouteChanges writes a line for each network that came, changed or went between two
// states. The error is the writer's.
func RouteChanges(w io.Writer, before, after control.Routes) error {
	type key struct{ prefix, id string }
	was := make(map[key]string, len(before.Routes))
	for _, r := range before.Routes {
		was[key{r.Prefix, r.ID}] = routeState(r)
	}
	var b strings.Builder
	line := func(sign string, r control.Route) {
		fmt.Fprintf(&b, "%s %s  by %s  %s\n", sign, format.Printable(r.Prefix), format.Printable(r.Edge), format.Printable(routeState(r)))
	}
	for _, r := range after.Routes {
		k := key{r.Prefix, r.ID}
		switch state, known := was[k]; {
		case !known:
			line("+", r)
		case state != routeState(r):
			line(">", r)
		}
		delete(was, k)
	}
	for _, r := range before.Routes {
		if _, gone := was[key{r.Prefix, r.ID}]; gone {
			line("-", r)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// routeState is what becomes of a network, with why.
func routeState(r control.Route) string {
	if r.Why == "" {
		return string(r.State)
	}
	return string(r.State) + ": " + r.Why
}

// orAbsent is a text, or that there is none.
func orAbsent(text string) string {
	if text == "" {
		return absent
	}
	return text
}

// costText is the cost of a path, or that there is none.
func costText(cost int) string {
	if cost == 0 {
		return absent
	}
	return fmt.Sprint(cost)
}
