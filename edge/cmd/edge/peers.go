package main

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// peerColumns head the table of peers.
var peerColumns = []string{"NAME", "IP", "PATH", "ENDPOINT", "SINCE", "RTT", "LOSS", "MTU", "RX/TX", "HOSTS", "LAST"}

// printPeers writes the table of peers for a person: beneath each that is not
// reached directly, why.
func printPeers(w io.Writer, peers []control.Peer) error {
	if len(peers) == 0 {
		_, err := fmt.Fprintln(w, "no peers yet")
		return err
	}
	var table bytes.Buffer
	t := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(peerColumns, "\t"))
	for _, p := range peers {
		cells := peerCells(p)
		for i, c := range cells {
			cells[i] = cli.Printable(c)
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	// The reasons are no cells: they would widen the first column.
	var s strings.Builder
	row := 0
	for line := range strings.Lines(table.String()) {
		s.WriteString(line)
		if row > 0 && peers[row-1].Reason != "" {
			s.WriteString("    " + cli.Printable(peers[row-1].Reason) + "\n")
		}
		row++
	}
	_, err := io.WriteString(w, s.String())
	return err
}

func peerCells(p control.Peer) []string {
	return []string{
		cmp.Or(peerName(p), absent), cmp.Or(firstOf(p.IPs), absent), pathText(p.PathStatus), cmp.Or(p.Endpoint, absent), spanText(p.SinceS),
		peerRTT(p), lossText(p.Loss), payloadText(p), bytesText(p.RxBytes) + " / " + bytesText(p.TxBytes), fmt.Sprint(p.Hosts), spanText(p.LastSeenS),
	}
}

// pathText is the path in a word or two.
func pathText(w control.PathStatus) string {
	word := pathWord(w)
	switch {
	case w.Path == control.PathRelay && w.Via != "":
		return word + " " + hostOf(w.Via)
	case word == string(control.PathDirect) && isIPv6(w.Endpoint):
		return word + " v6"
	}
	return word
}

// pathWord says how frames travel.
func pathWord(w control.PathStatus) string {
	switch {
	case w.Path == control.PathNone:
		return absent
	case w.Path == control.PathDirect && (w.Kind == control.KindLAN || w.Kind == control.KindTURN), w.Path == control.PathRelay && w.Kind == control.KindTLS:
		return w.Kind
	}
	return string(w.Path)
}

func isIPv6(endpoint string) bool {
	a, err := netip.ParseAddrPort(endpoint)
	return err == nil && a.Addr().Is6()
}

func peerRTT(p control.Peer) string {
	if p.RTTms == nil {
		return absent
	}
	return strings.ReplaceAll(rttText(millis(*p.RTTms)), " ", "")
}

// lossText is a share of pings that may not be known.
func lossText(share *float64) string {
	if share == nil {
		return absent
	}
	return fmt.Sprintf("%.0f%%", *share*100)
}

// payloadText is what a frame may carry without being cut.
func payloadText(p control.Peer) string {
	if p.Payload == 0 {
		return absent
	}
	return fmt.Sprint(p.Payload)
}

// spanText is a time that may not be known.
func spanText(s *float64) string {
	if s == nil {
		return absent
	}
	return uptime(seconds(*s))
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
