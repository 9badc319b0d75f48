package render

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"

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
