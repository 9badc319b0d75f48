package render

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
)

// messages is a log whose lines carry no time of day.
func messages(b *bytes.Buffer) *slog.Logger {
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		if a.Key == slog.MessageKey {
			// No quotes around the sentence, so that the file reads as printed.
			return slog.Any(a.Key, plainText(a.Value.String()))
		}
		return a
	}}))
}

type plainText string

func (p plainText) MarshalText() ([]byte, error) {
	return []byte(strings.ReplaceAll(string(p), `"`, "'")), nil
}

func TestStartUpLines(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 12, 4, s, 0, time.Local) }
	sn, snAddr := "vps.example:7654", netip.MustParseAddrPort("203.0.113.10:7654")
	lease := netip.MustParsePrefix("10.64.0.7/24")
	events := []control.Event{
		{Kind: control.EventPinned, Supernode: sn, Key: [32]byte{0xab}},
		{Kind: control.EventRegistered, Supernode: sn, Addr: snAddr, RTT: 23 * time.Millisecond, KeyIndex: 4},
		{Kind: control.EventLease, Prefix: lease},
		{Kind: control.EventLease, Prefix: netip.MustParsePrefix("fd00:1::7/64")},
		{Kind: control.EventMapping, Text: "endpoint-independent mapping"},
		{Kind: control.EventReady, Elapsed: 1234 * time.Millisecond},
		{Kind: control.EventPeerPath, Time: at(7), Peer: control.Peer{Name: "harlem-roof", PathStatus: control.PathStatus{Path: control.PathDirect, Endpoint: "198.51.100.4:41641", RTTms: ms(18)}}},
		{Kind: control.EventPeerPath, Time: at(9), Peer: control.Peer{ID: "9f3a-71c2-e0b4", PathStatus: control.PathStatus{Path: control.PathRelay, Via: sn, RTTms: ms(41), Reason: "trying direct"}}},
		{Kind: control.EventPeerPath, Time: at(9), Peer: control.Peer{Name: "evil\x1b[2Jname", PathStatus: control.PathStatus{Path: control.PathNone}}},
		{Kind: control.EventPeerGone, Time: at(10), Peer: control.Peer{Name: "harlem-roof"}},
		{Kind: control.EventRegistered, Time: at(11), Supernode: sn, Addr: snAddr, RTT: 400 * time.Microsecond},
	}
	for _, format := range []string{"text", "json"} {
		var out, log bytes.Buffer
		r := NewReporter(ReporterConfig{
			Out: &out, Log: messages(&log), LogOnly: format == "json",
			Messages: Messages{Community: "mynetwork", IdentityFile: "/var/lib/edge/mynetwork/id"},
		})
		r.Opened(Opened{
			Program: "edge", Version: "0.1.0", Device: "edge0", MAC: "02:5c:1e:9a:40:11", MTU: 1370, ID: "9f3a-71c2-e0b4", Created: true,
		})
		for _, ev := range events {
			r.Event(ev)
		}
		r.Close()
		golden(t, "startup."+format, append(out.Bytes(), log.Bytes()...))
	}
}

func TestAloneAndRefused(t *testing.T) {
	var out, log bytes.Buffer
	l, _ := cli.NewLog(&log, cli.LogChoice{})
	r := NewReporter(ReporterConfig{Out: &out, Log: l, Messages: Messages{Community: "mynetwrok"}})
	r.Event(control.Event{Kind: control.EventAlone, Supernode: "vps.example:7654"})
	r.Event(control.Event{Kind: control.EventAddressRefused, Wanted: netip.MustParsePrefix("10.64.0.7/24"), MAC: [6]byte{2}})
	r.Event(control.Event{Kind: control.EventReloaded})
	r.Event(control.Event{Kind: control.EventReloaded, Err: errors.New("line 3")})
	r.Close()
	for _, want := range []string{
		`no other edge is registered as "mynetwrok" on vps.example yet. [E06b]`,
		"the keys were read anew", "the old ones stay", `err="line 3"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q does not say %q", log.String(), want)
		}
	}
	if got, want := r.Refusal(), "10.64.0.7 is already used by 02:00:00:00:00:00. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one."; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestReporterNeverBlocks stalls the terminal.
func TestReporterNeverBlocks(t *testing.T) {
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	l, _ := cli.NewLog(&log, cli.LogChoice{})
	r := NewReporter(ReporterConfig{Out: out, Log: l})
	for range 100 * eventQueue {
		r.Event(control.Event{Kind: control.EventPeerGone, Peer: control.Peer{Name: strings.Repeat("x", 60)}})
	}
	go func() { _, _ = new(bytes.Buffer).ReadFrom(in) }()
	r.Close()
	_ = out.Close()
	if !strings.Contains(log.String(), "events were not shown") {
		t.Errorf("the loss was not reported: %q", log.String())
	}
}
