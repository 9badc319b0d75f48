package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/protocol"
)

const (
	// protocolVersion is the version of the wire protocol.
	protocolVersion = protocol.Version
	// shownDrops is how many reasons of drops a line lists.
	shownDrops = 3
	// absent stands for what is not known or does not apply.
	absent = "-"
	// timeLayout writes a time of the key schedule.
	timeLayout = "2006-01-02 15:04 MST"
)

// sheet collects lines and writes them at once.
type sheet struct{ strings.Builder }

// row adds one line under a label.
func (s *sheet) row(label, format string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf("%-11s %s", label, fmt.Sprintf(format, args...)), " ")
	s.WriteString(cli.Printable(text) + "\n")
}

func (s *sheet) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, s.String())
	return err
}

// printStatus writes the state of an edge for a person.
func printStatus(w io.Writer, v control.Status) error {
	var s sheet
	addresses := absent
	if len(v.Prefixes) > 0 {
		addresses = strings.Join(v.Prefixes, " ")
	}
	s.row(v.Community, "UP %s   %s %s  mac %s  mtu %d", uptime(seconds(v.UptimeS)), v.Device, addresses, v.MAC, v.MTU)
	if v.ID != "" {
		s.row("identity", "%s   edge %s", v.ID, v.Version)
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
		bytesText(v.Traffic.InBytes), v.Traffic.InFrames, bytesText(v.Traffic.OutBytes), v.Traffic.OutFrames, dropsText(v.Drops))
	if v.Mapping != "" {
		s.row("nat", "%s", v.Mapping)
	}
	health := "ok"
	switch n := len(v.Notes); {
	case n == 1:
		health = "1 note"
	case n > 1:
		health = fmt.Sprintf("%d notes", n)
	}
	s.row("health", "%s", health)
	for _, note := range v.Notes {
		s.row("", "%s", note)
	}
	return s.writeTo(w)
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
		text += "  " + rttText(millis(*sn.RTTms))
	}
	return text + "  " + string(sn.State)
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
	reasons := slices.SortedFunc(maps.Keys(drops), func(a, b string) int {
		return cmp.Or(cmp.Compare(drops[b], drops[a]), cmp.Compare(a, b))
	})
	var parts []string
	for _, reason := range reasons[:min(shownDrops, len(reasons))] {
		if drops[reason] > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", reason, drops[reason]))
		}
	}
	return fmt.Sprintf("%d (%s)", sum, strings.Join(parts, ", "))
}

// printCounters writes what the data path has done for a person.
func printCounters(w io.Writer, v control.Counters) error {
	var s sheet
	for i, q := range v.Queues {
		s.row(fmt.Sprintf("queue %d", i), "%d sleeps", q.Sleeps)
		if f := q.Frames; f != nil {
			s.row("  device", "in %d (%d super) by %d reads   out %d (%d super) by %d writes", f.In, f.SuperIn, f.Reads, f.Out, f.SuperOut, f.Writes)
		}
		if d := q.Datagrams; d != nil {
			s.row("  socket", "in %d (%d trains) by %d reads   out %d (%d trains) by %d writes", d.In, d.TrainsIn, d.Reads, d.Out, d.TrainsOut, d.Writes)
			s.row("", "gso refused %d, waited for room %d, dropped %d", d.GSORefused, d.Waits, d.Dropped)
		}
	}
	s.row("too long", "cut %d into %d pieces, joined %d   segment size lowered in %d", v.Long.Cut, v.Long.Pieces, v.Long.Joined, v.Long.Clamped)
	s.row("dropped", "%s", dropsText(v.Drops))
	return s.writeTo(w)
}

// printKeys writes a key schedule for a person.
func printKeys(w io.Writer, v control.Keys, now time.Time) error {
	var s sheet
	s.row(v.Community, "%s", countText(len(v.Epochs), "epoch"))
	active := "none"
	if v.Active != nil {
		active = fmt.Sprintf("index %d", *v.Active)
		for _, e := range v.Epochs {
			if e.Index == *v.Active && e.Until != nil {
				active += ", until " + e.Until.Format(timeLayout)
			}
		}
	}
	s.row("active", "%s", active)
	s.row("accepted", "%s", indices(v.Acceptable))
	if v.Next != nil {
		s.row("next roll", "%s (in %s)", v.Next.UTC().Format(timeLayout), longSpan(v.Next.Sub(now)))
	} else {
		s.row("next roll", "none")
	}
	if v.Ends != nil {
		s.row("ends", "%s", v.Ends.UTC().Format(timeLayout))
	} else {
		s.row("ends", "never")
	}
	if v.Warning != "" {
		s.row("warning", "%s", v.Warning)
	}
	return s.writeTo(w)
}

func indices(list []uint8) string {
	if len(list) == 0 {
		return "none"
	}
	texts := make([]string, len(list))
	for i, ki := range list {
		texts[i] = fmt.Sprint(ki)
	}
	return strings.Join(texts, ", ")
}

func countText(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

func millis(ms float64) time.Duration { return time.Duration(ms * float64(time.Millisecond)) }
