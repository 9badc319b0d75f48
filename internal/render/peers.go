package render

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// peerColumns head the table of peers.
var peerColumns = []string{"NAME", "IP", "PATH", "ENDPOINT", "SINCE", "RTT", "LOSS", "MTU", "RX/TX", "HOSTS", "LAST"}

// Peers writes the table of an edge's peers, and beneath each the reason why it has no
// direct path, and its link. The error is the writer's.
func Peers(w io.Writer, peers []control.Peer) error {
	if len(peers) == 0 {
		_, err := fmt.Fprintln(w, "no peers yet")
		return err
	}
	// The reasons are no cells: they would widen the first column.
	var s strings.Builder
	row := 0
	for line := range strings.Lines(table(peerColumns, peers, peerCells)) {
		s.WriteString(line)
		if row > 0 {
			s.WriteString(beneath(peers[row-1]))
		}
		row++
	}
	_, err := io.WriteString(w, s.String())
	return err
}

// beneath returns the lines beneath a peer's row: why it has no direct path, and its link.
func beneath(p control.Peer) (lines string) {
	if p.Reason != "" {
		lines = "    " + format.Printable(p.Reason) + "\n"
	}
	if p.Ethernet.Role == control.RoleHub {
		lines += "    a hub of the community\n"
	}
	if p.Link != nil {
		state := fmt.Sprintf("up, cost %d", p.Link.Cost)
		if !p.Link.Carrier {
			state = "down"
		}
		lines += "    link " + format.Printable(p.Link.Device) + " is " + state + "\n"
	}
	return lines
}

func peerCells(p control.Peer) []string {
	return []string{
		cmp.Or(peerName(p), absent), cmp.Or(firstOf(p.IPs), absent), pathText(p.PathStatus), cmp.Or(p.Endpoint, absent), spanText(p.SinceS),
		peerRTT(p), lossText(p.Loss), numberText(p.Payload), format.Bytes(p.RxBytes) + " / " + format.Bytes(p.TxBytes), fmt.Sprint(p.Hosts), spanText(p.LastSeenS),
	}
}

// pathText is the path in a word or two.
func pathText(s control.PathStatus) string {
	word := pathWord(s)
	switch {
	case s.Path == control.PathRelay && s.Via != "":
		return word + " " + hostOf(s.Via)
	case word == string(control.PathDirect) && isIPv6(s.Endpoint):
		return word + " v6"
	}
	return word
}

func peerRTT(p control.Peer) string {
	if p.RTTms == nil {
		return absent
	}
	return compactRTT(*p.RTTms)
}

// compactRTT is a round trip in milliseconds as a cell shows it: "41ms".
func compactRTT(ms float64) string { return strings.ReplaceAll(rttText(ms), " ", "") }

// lossText is a share of pings that may not be known.
func lossText(share *float64) string {
	if share == nil {
		return absent
	}
	return fmt.Sprintf("%.0f%%", *share*100)
}

// spanText is a time that may not be known.
func spanText(s *float64) string {
	if s == nil {
		return absent
	}
	return format.Span(format.Seconds(*s))
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
