package render

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"text/tabwriter"

	"hedgerow/edge/control"
	"hedgerow/internal/format"
)

// absent stands for what is not known or does not apply.
const absent = "-"

// sheet collects lines and writes them at once.
type sheet struct{ strings.Builder }

// row adds one line under a label.
func (s *sheet) row(label, layout string, args ...any) {
	text := strings.TrimRight(fmt.Sprintf("%-11s %s", label, fmt.Sprintf(layout, args...)), " ")
	s.WriteString(format.Printable(text) + "\n")
}

// blank adds an empty line.
func (s *sheet) blank() { s.WriteString("\n") }

// writeTo writes what was collected.
func (s *sheet) writeTo(w io.Writer) error {
	_, err := io.WriteString(w, s.String())
	return err
}

// peerName returns the peer's name, or its identity while the name is
// unknown.
func peerName(p control.Peer) string {
	if p.Name != "" {
		return p.Name
	}
	return p.ID
}

// pathWord says in one word how frames travel.
func pathWord(s control.PathStatus) string {
	switch {
	case s.Path == control.PathNone:
		return absent
	case s.Path == control.PathDirect && (s.Kind == control.KindLAN || s.Kind == control.KindTURN), s.Path == control.PathRelay && s.Kind == control.KindTLS:
		return s.Kind
	}
	return string(s.Path)
}

// hostOf returns the host of HOST:PORT, and anything else as it is.
func hostOf(s string) string {
	if host, _, err := net.SplitHostPort(s); err == nil {
		return host
	}
	return s
}

// rttText writes a document's round trip in milliseconds.
func rttText(ms float64) string { return format.RTT(format.Milliseconds(ms)) }

func isIPv6(endpoint string) bool {
	a, err := netip.ParseAddrPort(endpoint)
	return err == nil && a.Addr().Is6()
}

// health adds whether there is anything that an operator should read, and what.
func (s *sheet) health(notes []string) {
	health := "ok"
	if n := len(notes); n > 0 {
		health = format.Count(n, "note")
	}
	s.row("health", "%s", health)
	for _, note := range notes {
		s.row("", "%s", note)
	}
}

// table writes a list under the heads of its columns. The cells of an entry may come from
// strangers.
func table[E any](heads []string, list []E, cells func(E) []string) string {
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, strings.Join(heads, "\t"))
	for _, e := range list {
		row := cells(e)
		for i, c := range row {
			row[i] = format.Printable(c)
		}
		fmt.Fprintln(t, strings.Join(row, "\t"))
	}
	_ = t.Flush() // the Builder has no error
	return b.String()
}

// changes writes a line for each entry that came (+), changed (>) or went (-) between two
// states of a list. of returns what an entry is known by and how it is, line the entry in
// words, with how it was if it has changed.
func changes[E any, K comparable](w io.Writer, before, after []E, of func(E) (K, string), line func(e E, was string) string) error {
	was := make(map[K]string, len(before))
	for _, e := range before {
		key, state := of(e)
		was[key] = state
	}
	var b strings.Builder
	write := func(sign, text string) { b.WriteString(sign + " " + format.Printable(text) + "\n") }
	for _, e := range after {
		key, state := of(e)
		switch old, known := was[key]; {
		case !known:
			write("+", line(e, ""))
		case old != state:
			write(">", line(e, old))
		}
		delete(was, key)
	}
	for _, e := range before {
		key, _ := of(e)
		if _, gone := was[key]; gone {
			write("-", line(e, ""))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// numberText is a number that may not apply: 0 is none.
func numberText(n int) string {
	if n == 0 {
		return absent
	}
	return fmt.Sprint(n)
}
