package render

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// FDB writes the table of the stations that an edge knows, and what was done with
// them. The error is the writer's.
func FDB(w io.Writer, v control.FDB) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "MAC\tVLAN\tEDGE\tAGE\tHOW\tMOVES")
	for _, s := range v.Stations {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\n", format.Printable(s.MAC), vlanText(s.VLAN), format.Printable(s.Edge),
			format.Span(format.Seconds(s.AgeS)), format.Printable(s.How), s.Moves)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	n := v.Totals
	var s sheet
	s.blank()
	s.row("entries", "%d of %d behind other edges, at most %d behind one   refused %d", n.Entries, n.Size, n.Behind, n.Refused)
	s.row("moves", "%d   claims contested %d, damped %d, frames ignored %d", n.Moves, n.Contested, n.Damped, n.Ignored)
	s.row("asked", "%d questions   not asked about %d, lost %d", n.Asked, n.Unasked, n.Lost)
	s.row("flooded", "%d frames to unknown stations", n.Unknown)
	if a := n.Addresses; a != nil {
		s.row("addresses", "%d of %d known   refused %d, contested %d", a.Known, a.Size, a.Refused, a.Contested)
		s.row("questions", "%d answered here, %d sent to the owner alone, %d of our own side   owners silent %d", a.Answered, a.Forwarded, a.Local, a.Silent)
	}
	return s.writeTo(w)
}

// Groups writes the table of the multicast groups that hosts have joined, and which edges
// get all. The error is the writer's.
func Groups(w io.Writer, v control.Groups) error {
	var s sheet
	if v.Transparent {
		s.row("transparent", "frames to groups go to all edges, whoever has joined")
		return s.writeTo(w)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "GROUP\tVLAN\tEDGE\tAGE")
	for _, m := range v.Members {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", format.Printable(m.Group), vlanText(m.VLAN), format.Printable(m.Edge), format.Span(format.Seconds(m.AgeS)))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	s.blank()
	all := make([]string, 0, len(v.All))
	for _, e := range v.All {
		all = append(all, format.Printable(e))
	}
	if v.Flooded {
		all = append(all, "all others, since there are too many or unknown ones")
	}
	if len(all) > 0 {
		s.row("all groups", "go to %s", strings.Join(all, ", "))
	}
	s.row("memberships", "%d of %d, at most %d behind one   refused %d", len(v.Members), v.Most, v.MostBehind, v.Refused)
	s.row("suppressed", "%d frames to groups without a member", v.Suppressed)
	return s.writeTo(w)
}

// FDBChanges writes a line for each station that came, moved or went between two
// states of a database. The error is the writer's.
func FDBChanges(w io.Writer, before, after control.FDB) error {
	type key struct {
		mac  string
		vlan uint16
	}
	was := make(map[key]string, len(before.Stations))
	for _, s := range before.Stations {
		was[key{s.MAC, s.VLAN}] = s.Edge
	}
	var b strings.Builder
	line := func(sign string, s control.Station, edge string) {
		fmt.Fprintf(&b, "%s %s  vlan %s  %s\n", sign, format.Printable(s.MAC), vlanText(s.VLAN), format.Printable(edge))
	}
	for _, s := range after.Stations {
		k := key{s.MAC, s.VLAN}
		edge, known := was[k]
		switch {
		case !known:
			line("+", s, s.Edge)
		case edge != s.Edge:
			line(">", s, edge+" > "+s.Edge)
		}
		delete(was, k)
	}
	for _, s := range before.Stations {
		if _, gone := was[key{s.MAC, s.VLAN}]; gone {
			line("-", s, s.Edge)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// vlanText is a VLAN identifier, or that there is none.
func vlanText(vlan uint16) string {
	if vlan == 0 {
		return absent
	}
	return fmt.Sprint(vlan)
}
