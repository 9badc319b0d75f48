package main

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// pingable is an edge that answers pings in turn, the last answer again and again.
type pingable struct {
	shown
	answers []control.Ping
	err     error
	asked   []control.PingRequest
}

func (p *pingable) Ping(_ context.Context, q control.PingRequest) (control.Ping, error) {
	p.asked = append(p.asked, q)
	return p.answers[min(len(p.asked), len(p.answers))-1], p.err
}

// The answers of a peer whose path becomes a direct one and is lost again.
func answers() []control.Ping {
	byRelay := control.Ping{Name: "bk-library", ID: "9f3a-71c2-e0b5", Answered: true,
		PathStatus: control.PathStatus{Path: control.PathRelay, Kind: control.KindUDP, Via: "vps.example:7654", RTTms: ms(42.13), Reason: "trying direct"},
		Size:       64, Pieces: 1}
	still := byRelay
	still.RTTms, still.Reason = ms(41.7), "our NAT gives every destination another port (at random); next try in 2s"
	soon := still
	soon.Reason = strings.Replace(still.Reason, "2s", "1s", 1)
	directly := control.Ping{Name: "bk-library", ID: "9f3a-71c2-e0b5", Answered: true,
		PathStatus: control.PathStatus{Path: control.PathDirect, Kind: "reflexive", Endpoint: "192.0.2.77:51040", RTTms: ms(17.94)},
		Size:       64, Pieces: 1}
	near := directly
	near.Kind, near.Endpoint, near.RTTms = control.KindLAN, "192.168.1.12:51040", ms(0.31)
	near.Size, near.Pieces = 1514, 2
	lost := near
	lost.Answered, lost.RTTms = false, nil
	blocked := byRelay
	blocked.Kind, blocked.RTTms, blocked.Reason = control.KindTLS, ms(66), "none of the peer's 2 addresses answers: a firewall on either side, or UDP is blocked"
	return []control.Ping{byRelay, still, soon, directly, near, lost, blocked}
}

// ping runs "edge ping" against answers, with a clock that goes on by 0.35 s at
// every look.
func ping(t *testing.T, src *pingable, args ...string) (out, errs string, code cli.Code) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "n.sock")
	serveAt(t, path, control.Handler(src))
	cmd := testCommand(nil)
	now := cmd.now()
	cmd.now = func() time.Time { now = now.Add(350 * time.Millisecond); return now }
	code = cmd.run(t.Context(), append([]string{program, "ping", "--control", path, "-i", "0"}, args...))
	return cmd.streams.Out.(*strings.Builder).String(), cmd.streams.Err.(*strings.Builder).String(), code
}

func TestPing(t *testing.T) {
	for _, form := range []string{"text", "json"} {
		src := &pingable{answers: answers()}
		args := []string{"bk-library", "-c", "7"}
		if form == "json" {
			args = append(args, "--json")
		}
		out, errs, code := ping(t, src, args...)
		if code != cli.Failure || errs != "edge: 1 of 7 pings had no answer.\n" {
			t.Errorf("%s: code %d, %s", form, code, errs)
		}
		golden(t, "ping."+form, []byte(out))
	}
}

func TestPingEnds(t *testing.T) {
	all := answers()
	for _, tt := range []struct {
		name    string
		answers []control.Ping
		args    []string
		code    cli.Code
		sent    int
		errs    string
	}{
		{"all answered", all[:3], []string{"-c", "3", "x"}, cli.OK, 3, ""},
		{"until direct", all, []string{"x", "--until-direct"}, cli.OK, 4, ""},
		{"until direct, after a loss", []control.Ping{all[5], all[3]}, []string{"x", "--until-direct"}, cli.OK, 2, ""},
		{"never direct", all[:3], []string{"x", "--until-direct", "-c", "5"}, cli.Failure, 5,
			"edge: no direct path to x after 5 pings: our NAT gives every destination another port (at random); next try in 1s.\n"},
		{"never direct, by default", all[:1], []string{"x", "--until-direct"}, cli.Failure, pingsUntilDirect, "edge: no direct path to x after 60 pings: trying direct.\n"},
		{"no answer", all[5:6], []string{"x", "-c", "1"}, cli.Failure, 1, "edge: 1 of 1 ping had no answer.\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := &pingable{answers: tt.answers}
			out, errs, code := ping(t, src, tt.args...)
			if code != tt.code || errs != tt.errs || len(src.asked) != tt.sent {
				t.Errorf("code %d, %d sent, %q; %s", code, len(src.asked), errs, out)
			}
		})
	}
}

// What the edge refuses, and what is no command line.
func TestPingErrors(t *testing.T) {
	src := &pingable{answers: answers(), err: errors.New(`no edge is called "x". There are: a, b`)}
	if _, errs, code := ping(t, src, "x"); code != cli.Failure || !strings.HasSuffix(errs, `says: no edge is called "x". There are: a, b`+"\n") {
		t.Errorf("%d, %s", code, errs)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "no peer: type edge ping PEER"},
		{[]string{"a", "-c", "0"}, "-c 0 is not a number of pings from 1 to 1000000"},
		{[]string{"a", "-i", "soon"}, "-i soon is not a time between pings, such as 200ms or 0.2"},
		{[]string{"a", "--size", "big"}, "--size big is not the length of a frame in bytes"},
		{[]string{"a", "b"}, `unexpected argument "b"`},
		{[]string{"a", "--sise", "3"}, "unknown option --sise. Did you mean --size?"},
	} {
		if _, errs, code := ping(t, src, tt.args...); code != cli.Usage || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: %d, %s", tt.args, code, errs)
		}
	}
	if len(src.asked) != 1 {
		t.Errorf("%d pings were sent", len(src.asked))
	}
}

// The peer may stand before its options and behind them.
func TestPeerOption(t *testing.T) {
	for _, tt := range [][2]string{
		{"edge ping a", "edge ping --peer=a"},
		{"edge ping a -c 3 --json", "edge ping -c 3 --json --peer=a"},
		{"edge ping -c 3 a --json", "edge ping -c 3 --json --peer=a"},
		{"edge ping --json a -s=100", "edge ping --json -s=100 --peer=a"},
		{"edge ping --until-direct a b", "edge ping --until-direct --peer=a b"},
		{"edge ping -c", "edge ping -c"},
		{"edge ping -- -x", "edge ping --peer=-x"},
		{"edge ping", "edge ping"},
		{"edge status ping a", "edge status ping a"},
		{"edge -c ping a", "edge -c ping a"},
		{"edge", "edge"},
	} {
		if got := cli.ArgumentOption(strings.Fields(tt[0]), "ping", pingFlags(), "peer"); !slices.Equal(got, strings.Fields(tt[1])) {
			t.Errorf("%s became %v", tt[0], got)
		}
	}
}

// Sizes and peers reach the edge as they were typed.
func TestPingRequest(t *testing.T) {
	src := &pingable{answers: answers()}
	if _, errs, code := ping(t, src, "-c", "1", "02:00:00:00:00:09", "-s", "1000"); code != cli.OK {
		t.Fatal(errs)
	}
	if want := (control.PingRequest{Peer: "02:00:00:00:00:09", Size: 1000}); src.asked[0] != want {
		t.Errorf("%+v", src.asked)
	}
}
