package render

import (
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
)

// answers are those of a peer whose path becomes a direct one and is lost again.
func answers() []control.Ping {
	byRelay := control.Ping{
		Name: "bk-library", ID: "9f3a-71c2-e0b5", Answered: true, Size: 64, Pieces: 1,
		PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindUDP, Via: "vps.example:7654", RTTms: ms(42.13), Reason: "trying direct"},
	}
	still := byRelay
	still.RTTms, still.Reason = ms(41.7), "our NAT gives every destination another port (at random); next try in 2s"
	soon := still
	soon.Reason = strings.Replace(still.Reason, "2s", "1s", 1)
	directly := byRelay
	directly.PathStatus = control.PathStatus{Path: control.PathDirect, Kind: "reflexive", Endpoint: "192.0.2.77:51040", RTTms: ms(17.94)}
	near := directly
	near.Kind, near.Endpoint, near.RTTms = control.KindLAN, "192.168.1.12:51040", ms(0.31)
	near.Size, near.Pieces = 1514, 2
	lost := near
	lost.Answered, lost.RTTms = false, nil
	blocked := byRelay
	blocked.Kind, blocked.RTTms, blocked.Reason = control.KindTLS, ms(66), "none of the peer's 2 addresses answers: a firewall on either side, or UDP is blocked"
	return []control.Ping{byRelay, still, soon, directly, near, lost, blocked}
}

func TestPings(t *testing.T) {
	var s Pings
	var b strings.Builder
	all := answers()
	for i, p := range all {
		b.WriteString(s.Line(p, i+1, time.Duration(i)*1050*time.Millisecond+350*time.Millisecond) + "\n")
	}
	b.WriteString(s.Sum(len(all)) + "\n")
	golden(t, "ping.text", []byte(b.String()))
	if s.Received() != 6 || s.Last().Kind != control.KindTLS {
		t.Errorf("%d received, the last %+v", s.Received(), s.Last())
	}
}

// A peer's name and reason cannot act on the terminal.
func TestPingsArePrintable(t *testing.T) {
	var s Pings
	line := s.Line(control.Ping{PathStatus: control.PathStatus{Path: control.PathRelay, Via: "evil\x1b[2J:1", Reason: "why\nnot"}}, 1, 0)
	if strings.ContainsAny(line, "\x1b\n") || !strings.HasSuffix(line, "no answer     why\uFFFDnot") {
		t.Errorf("%q", line)
	}
	if got := s.Sum(1); got != "1 sent, 0 received" {
		t.Errorf("%q", got)
	}
}
