package edge

import (
	"cmp"
	"context"
	"slices"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
)

// howNames are the words for how it is known where a station is.
var howNames = map[bridge.How]string{bridge.Heard: "heard", bridge.Announced: "announced", bridge.Asked: "asked"}

// FDB returns the forwarding database.
func (e *Edge) FDB(ctx context.Context) (control.FDB, error) {
	return ask(ctx, e, func(now time.Time) control.FDB {
		return control.FDB{Stations: e.data.stations.list(now), Totals: e.data.stations.totals(), Groups: e.data.stations.joined(now)}
	})
}

// list returns the stations, by edge and address; those on our own side come first.
func (s *stations) list(now time.Time) []control.Station {
	ns := s.plane.Since(now)
	found := s.plane.Stations().Stations(ns)
	list := make([]control.Station, 0, len(found))
	for _, f := range found {
		st := control.Station{
			MAC: f.MAC.String(), VLAN: f.VLAN, Edge: control.Here, AgeS: time.Duration(ns - f.Seen).Seconds(), How: howNames[f.How], Moves: f.Moves,
		}
		if f.Edge != nil {
			st.Edge, st.ID = s.title(f.Edge), s.id(f.Edge)
		}
		list = append(list, st)
	}
	slices.SortFunc(list, func(a, b control.Station) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.MAC, b.MAC), cmp.Compare(a.VLAN, b.VLAN))
	})
	return list
}

// id returns the short form of a peer's identity, empty if it is not known.
func (s *stations) id(v *dataplane.Peer) string {
	if p := s.peers.viewed(v); p != nil && p.known() {
		return p.shortID()
	}
	return ""
}

// totals returns what was done with stations since the start.
func (s *stations) totals() control.FDBTotals {
	f := s.plane.Stations()
	n, size := f.Counters(), f.Size()
	count, _ := f.Len()
	t := control.FDBTotals{
		Entries: count, Size: size.All, Behind: size.Behind, Moves: n.Moves, Refused: n.Refused, Unknown: s.plane.Totals().Unknown,
		Asked: n.Asked, Unasked: n.Unasked, Contested: n.Contested, Damped: n.Damped, Ignored: n.Ignored, Lost: n.Lost,
	}
	if x := s.plane.Proxy(); x != nil {
		known, most := x.Len()
		n := x.Counters()
		t.Addresses = &control.AddressTotals{
			Known: known, Size: most, Refused: n.Refused, Answered: n.Answered, Forwarded: n.Forwarded, Local: n.Local, Silent: n.Silent, Contested: n.Contested,
		}
	}
	return t
}

// joined returns the multicast groups that hosts have joined.
func (s *stations) joined(now time.Time) control.Groups {
	g, ns := s.plane.Members(), s.plane.Since(now)
	doc := control.Groups{Transparent: g == nil, Members: []control.Member{}, All: []string{}}
	if g == nil {
		return doc
	}
	for _, m := range g.List(ns) {
		c := control.Member{Group: m.Addr().String(), VLAN: m.VLAN, Edge: s.title(m.Edge), AgeS: m.Age.Seconds()}
		if m.Edge != nil {
			c.ID = s.id(m.Edge)
		}
		doc.Members = append(doc.Members, c)
	}
	slices.SortFunc(doc.Members, func(a, b control.Member) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.VLAN, b.VLAN), cmp.Compare(a.Edge, b.Edge), cmp.Compare(a.ID, b.ID))
	})
	known := 0
	for _, p := range s.peers.byStatic {
		if !p.known() || !p.identity.bound {
			continue
		}
		known++
		if l := p.view.Listener(); l.All(ns, bridge.IPv4) || l.All(ns, bridge.IPv6) {
			doc.All = append(doc.All, p.title())
		}
	}
	slices.Sort(doc.All)
	doc.Flooded = g.Floods(known)
	n := g.Counters()
	doc.Most, doc.MostBehind, doc.Refused = n.Most, n.Behind, n.Refused
	doc.Suppressed = s.plane.Drops().Count(dataplane.DropNoMember)
	return doc
}
