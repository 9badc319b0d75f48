package render

import (
	"cmp"
	"fmt"
	"io"

	"hedgerow/internal/format"
	"hedgerow/supernode/admin"
)

// shownCommunity is how many digits of a community's id are shown.
const shownCommunity = 12

// communityName returns what an operator calls a community, or the beginning of its id.
func communityName(label, id string) string {
	return cmp.Or(label, id[:min(len(id), shownCommunity)])
}

// communityTable is the table of a supernode's communities. What was relayed are bytes that
// left, with all copies of floods.
func communityTable(list []admin.CommunityStatus) string {
	return table([]string{"COMMUNITY", "LABEL", "EDGES", "LEASES", "SINCE", "RELAYED", "FLOODS", "MONTH", "LIMITED", "POOL"}, list, func(c admin.CommunityStatus) []string {
		since := absent
		if c.Edges > 0 {
			since = format.Span(format.Seconds(c.SinceS))
		}
		return []string{
			communityName("", c.ID), cmp.Or(c.Label, absent), fmt.Sprint(c.Edges), fmt.Sprint(c.Leases), since,
			format.Bytes(c.Relayed.Total()), fmt.Sprint(c.Relayed.Floods), monthText(c.Month), excessText(c.Limited), c.Pool.String(),
		}
	})
}

// SupernodeCommunities writes the communities of a supernode. The error is the writer's.
func SupernodeCommunities(w io.Writer, v admin.Communities) error {
	if len(v.Communities) == 0 {
		_, err := fmt.Fprintln(w, "no communities yet")
		return err
	}
	_, err := io.WriteString(w, communityTable(v.Communities))
	return err
}

// SupernodeEdges writes the table of a supernode's edges. The error is the writer's.
func SupernodeEdges(w io.Writer, v admin.Edges) error {
	if len(v.Edges) == 0 {
		_, err := fmt.Fprintln(w, "no edges are here")
		return err
	}
	_, err := io.WriteString(w, table([]string{"COMMUNITY", "ID", "IP", "BY", "ADDRESS", "NAT", "DIRECT", "RTT", "SINCE", "LAST", "RELAYED", "FLOODS", "MONTH", "LIMITED"}, v.Edges, func(e admin.Edge) []string {
		return []string{
			communityName(e.Label, e.Community), e.ID, leaseText(e), e.Underlay.Transport, seenText(e.Underlay), beforeText(e.Underlay.NAT), fmt.Sprint(e.Direct), edgeRTT(e.Underlay),
			format.Span(format.Seconds(e.SinceS)), format.Span(format.Seconds(e.SilentS)), format.Bytes(e.Relayed.Total()), fmt.Sprint(e.Relayed.Floods), monthText(e.Month), excessText(e.Limited),
		}
	}))
	return err
}

// leaseText is an edge's overlay address without the length of its network.
func leaseText(e admin.Edge) string {
	if !e.Lease.IsValid() {
		return absent
	}
	return e.Lease.Addr().String()
}

// seenText is where an edge is.
func seenText(u admin.Underlay) string {
	switch {
	case !u.Address.IsValid():
		return absent
	case u.Address.Port() == 0:
		return u.Address.Addr().String()
	}
	return u.Address.String()
}

// beforeText says whether there is a NAT before an edge.
func beforeText(nat string) string {
	switch nat {
	case admin.NATNone:
		return "no"
	case admin.NATBefore:
		return "yes"
	}
	return absent
}

func edgeRTT(u admin.Underlay) string {
	if u.RTTms == nil {
		return absent
	}
	return compactRTT(*u.RTTms)
}

// excessText is how many packets were too many, and of what while that lasts.
func excessText(e *admin.Excess) string {
	switch {
	case e == nil:
		return absent
	case e.Now():
		return fmt.Sprintf("%d, now: %s", e.Packets, e.Limit)
	}
	return fmt.Sprint(e.Packets)
}

// monthText is what somebody has used in this month, and of how much.
func monthText(m admin.Month) string {
	switch {
	case m == (admin.Month{}):
		return absent
	case m.Limit == 0:
		return format.Bytes(m.Used)
	}
	return format.Bytes(m.Used) + " of " + format.Bytes(m.Limit)
}

// rateText is what was relayed in a second between two states of a counter.
func rateText(before, after admin.Traffic, seconds float64) string {
	if seconds <= 0 || after.Total() < before.Total() {
		return ""
	}
	return format.Bytes(uint64(float64(after.Total()-before.Total())/seconds)) + "/s"
}

// SupernodeCommunityChanges writes a line for each community that came, changed or went
// between two documents, and for each that relayed something, how much. The error is the
// writer's.
func SupernodeCommunityChanges(w io.Writer, before, after admin.Communities) error {
	was := make(map[string]admin.Traffic, len(before.Communities))
	for _, c := range before.Communities {
		was[c.ID] = c.Relayed
	}
	return changes(w, before.Communities, after.Communities, func(c admin.CommunityStatus) (string, string) {
		return c.ID, fmt.Sprint(c.Edges, c.Leases, c.Relayed.Total(), c.Limited.Now())
	}, func(c admin.CommunityStatus, old string) string {
		text := fmt.Sprintf("%s  %s, %d leased", communityName(c.Label, c.ID), format.Count(c.Edges, "edge"), c.Leases)
		if old != "" {
			text += relayedText(rateText(was[c.ID], c.Relayed, after.UptimeS-before.UptimeS), c.Limited)
		}
		return text
	})
}

// SupernodeEdgeChanges writes a line for each edge that came, moved or went between two
// documents, and for each that something was relayed for, how much. The error is the
// writer's.
func SupernodeEdgeChanges(w io.Writer, before, after admin.Edges) error {
	was := make(map[admin.EdgeKey]admin.Traffic, len(before.Edges))
	for _, e := range before.Edges {
		was[e.Key()] = e.Relayed
	}
	return changes(w, before.Edges, after.Edges, func(e admin.Edge) (admin.EdgeKey, string) {
		return e.Key(), fmt.Sprint(e.Lease, e.Underlay.Transport, e.Underlay.Address, e.Relayed.Total(), e.Limited.Now())
	}, func(e admin.Edge, old string) string {
		text := fmt.Sprintf("%s  %s  %s  %s %s", communityName(e.Label, e.Community), e.ID, leaseText(e), e.Underlay.Transport, seenText(e.Underlay))
		if old != "" {
			text += relayedText(rateText(was[e.Key()], e.Relayed, after.UptimeS-before.UptimeS), e.Limited)
		}
		return text
	})
}

// relayedText says how fast something was relayed, and of what it was too much.
func relayedText(rate string, limited *admin.Excess) (text string) {
	if rate != "" {
		text = "  relayed " + rate
	}
	if limited.Now() {
		text += "  limited: " + limited.Limit
	}
	return text
}
