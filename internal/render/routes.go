package render

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"hedgerow/edge/control"
)

// Routes writes the table of the networks behind other edges, and those behind this one.
// The error is the writer's.
func Routes(w io.Writer, v control.Routes) error {
	var s sheet
	s.WriteString(table([]string{"NETWORK", "EDGE", "ID", "VIA", "COST", "STATE"}, v.Routes, func(r control.Route) []string {
		return []string{r.Prefix, r.Edge, r.ID, cmp.Or(r.Via, absent), numberText(r.Cost), routeState(r)}
	}))
	s.blank()
	s.row("behind this edge", "%s", cmp.Or(strings.Join(v.Announced, " "), absent))
	return s.writeTo(w)
}

// RouteChanges writes a line for each network that came, changed or went between two
// states. The error is the writer's.
func RouteChanges(w io.Writer, before, after control.Routes) error {
	return changes(w, before.Routes, after.Routes, func(r control.Route) ([2]string, string) {
		return [2]string{r.Prefix, r.ID}, routeState(r)
	}, func(r control.Route, _ string) string {
		return fmt.Sprintf("%s  by %s  %s", r.Prefix, r.Edge, routeState(r))
	})
}

// routeState is what becomes of a network, with why.
func routeState(r control.Route) string {
	if r.Why == "" {
		return string(r.State)
	}
	return string(r.State) + ": " + r.Why
}
