package render

import (
	"io"
	"strings"

	"hedgerow/internal/format"
	"hedgerow/supernode/admin"
)

// SupernodeStatus writes the state of a supernode. The error is the writer's.
func SupernodeStatus(w io.Writer, v admin.Status) error {
	var s sheet
	s.row("supernode", "%s  UP %s  udp %s", v.Version, format.Span(format.Seconds(v.UptimeS)), v.Listen)
	if v.Streams != nil {
		listen := make([]string, len(v.Streams.Listen))
		for i, a := range v.Streams.Listen {
			listen[i] = a.String()
		}
		s.row("streams", "%d open  tcp %s", v.Streams.Open, strings.Join(listen, ", "))
	}
	s.row("key", "%s", v.Key)
	if v.Totals.Obfuscated {
		s.row("obfs key", "on: who has not got it gets no answer")
	}
	if v.SetAside != "" {
		s.row("store", "was damaged at the start and is kept as %s", v.SetAside)
	}
	s.row("edges", "%d here, %d leases in %d communities", v.Edges, v.Leases, max(v.Totals.Communities, len(v.Communities)))
	switch {
	case v.Totals.Closed:
		s.row("rules", "%d, closed for everybody else", v.Totals.Rules)
	case v.Totals.Rules > 0:
		s.row("rules", "%d, open for everybody else", v.Totals.Rules)
	}
	if month := v.Totals.Month; month != (admin.Month{}) {
		s.row("month", "%s, until %s UTC", monthText(month), v.Totals.MonthEnds.Format("2 January 2006"))
	}
	if to := v.Totals.Redirect; to != nil {
		s.row("moved", "to %s: %d of the %d edges here know it", to.Place, to.Noted, to.Edges)
	}
	if r := v.Totals.Rotation; r != nil {
		s.row("former", "%s: %d of the %d edges here use it, since %s there is the key above", r.Former, r.Old, r.Edges, r.Since.Local().Format(format.TimeLayout))
	}
	s.health(v.Notes)
	s.blank()
	s.WriteString(communityTable(v.Communities))
	if more := v.Totals.Communities - len(v.Communities); more > 0 {
		s.row("", "and %d more: 'supernode communities' shows all", more)
	}
	if drops := dropsByCount(v.Drops); len(drops) > 0 {
		s.blank()
		s.row("dropped", "%s", strings.Join(drops, ", "))
	}
	return s.writeTo(w)
}
