package render

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// FDB writes the table of the stations that an edge knows, and what was done with
// them. The error is the writer's.
func FDB(w io.Writer, v control.FDB) error {
	var s sheet
	s.WriteString(table([]string{"MAC", "VLAN", "EDGE", "AGE", "HOW", "MOVES"}, v.Stations, func(s control.Station) []string {
		return []string{s.MAC, numberText(int(s.VLAN)), s.Edge, format.Span(format.Seconds(s.AgeS)), s.How, fmt.Sprint(s.Moves)}
	}))
	s.blank()
	n := v.Totals
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
	s.WriteString(table([]string{"GROUP", "VLAN", "EDGE", "AGE"}, v.Members, func(m control.Member) []string {
		return []string{m.Group, numberText(int(m.VLAN)), m.Edge, format.Span(format.Seconds(m.AgeS))}
	}))
	s.blank()
	all := slices.Clone(v.All)
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
	return changes(w, before.Stations, after.Stations, func(s control.Station) (key, string) {
		return key{s.MAC, s.VLAN}, s.Edge
	}, func(s control.Station, was string) string {
		text := fmt.Sprintf("%s  vlan %s  ", s.MAC, numberText(int(s.VLAN)))
		if was != "" {
			text += was + " > "
		}
		return text + s.Edge
	})
}
