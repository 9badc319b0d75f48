package render

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
	"hedgerow/protocol"
)

// shownDrops is how many reasons of drops a line lists.
const shownDrops = 3

// Status writes the state of an edge. The error is the writer's.
func Status(w io.Writer, v control.Status) error {
	var s sheet
	addresses := absent
	if len(v.Prefixes) > 0 {
		addresses = strings.Join(v.Prefixes, " ")
	}
	in := ""
	if v.Ethernet.Bridge != "" {
		in = "  in " + v.Ethernet.Bridge
	}
	s.row(v.Community, "UP %s   %s %s  mac %s  mtu %d%s", format.Span(format.Seconds(v.UptimeS)), v.Device, addresses, v.MAC, v.MTU, in)
	if v.ID != "" {
		role := ""
		if v.Ethernet.Role != "" {
			role = v.Ethernet.Role + "   "
		}
		s.row("identity", "%s   %sedge %s", v.ID, role, v.Version)
	}
	for _, sn := range v.Supernodes {
		s.row("supernode", "%s", supernodeText(sn))
	}
	if v.KeyIndex == protocol.KINone {
		s.row("key", "none: the schedule has ended")
	} else {
		s.row("key", "index %d", v.KeyIndex)
	}
	s.row("peers", "%d seen, %d direct, %d relayed", v.Peers.Seen, v.Peers.Direct, v.Peers.Relayed)
	s.row("traffic", "in %s (%d frames)  out %s (%d frames)   dropped %s",
		format.Bytes(v.Traffic.InBytes), v.Traffic.InFrames, format.Bytes(v.Traffic.OutBytes), v.Traffic.OutFrames, dropsText(v.Drops))
	if segment := v.Ethernet.Segment; segment != nil {
		s.row("segment", "%s", segmentText(*segment))
	}
	if v.Mapping != "" {
		s.row("nat", "%s", v.Mapping)
	}
	s.health(v.Notes)
	return s.writeTo(w)
}

// segmentText says what a bridge does on its segment.
func segmentText(v control.SegmentStatus) string {
	text := v.State
	if v.Forwarder != "" {
		text += " for " + v.Forwarder
	}
	text += " since " + format.Span(format.Seconds(v.SinceS))
	if len(v.Bridges) > 0 {
		text += "   with " + strings.Join(v.Bridges, ", ")
	}
	return text
}

func supernodeText(sn control.SupernodeStatus) string {
	text := sn.Name
	switch {
	case sn.Stream != "":
		text += "  " + sn.Stream
	case sn.Addr != "":
		text += "  udp " + sn.Addr
	}
	if sn.RTTms != nil {
		text += "  " + rttText(*sn.RTTms)
	}
	text += "  " + string(sn.State) + roleText(sn.Role)
	if sn.KeepaliveS > 0 {
		text += fmt.Sprintf("  kept by a packet every %v: the NAT here forgets soon", format.Seconds(sn.KeepaliveS))
	}
	if sn.Obfuscated {
		text += "  obfs key"
	}
	return text
}

// roleText says what a supernode does beside others, behind its state.
func roleText(r control.SupernodeRole) string {
	switch r {
	case control.RoleServing:
		return ", serves"
	case control.RoleLate:
		return ", answers late: the one that stands by serves as well"
	case control.RoleStandby:
		return ", stands by"
	}
	return ""
}

// dropsText writes the number of drops and its largest parts.
func dropsText(drops map[string]uint64) string {
	var sum uint64
	for _, n := range drops {
		sum += n
	}
	if sum == 0 {
		return "0"
	}
	list := dropsByCount(drops)
	return fmt.Sprintf("%d (%s)", sum, strings.Join(list[:min(shownDrops, len(list))], ", "))
}

// dropsByCount writes each reason of drops with its number, the largest first,
// without those that never came about.
func dropsByCount(drops map[string]uint64) (list []string) {
	for _, reason := range slices.SortedFunc(maps.Keys(drops), func(a, b string) int {
		return cmp.Or(cmp.Compare(drops[b], drops[a]), cmp.Compare(a, b))
	}) {
		if drops[reason] > 0 {
			list = append(list, fmt.Sprintf("%s %d", reason, drops[reason]))
		}
	}
	return list
}
