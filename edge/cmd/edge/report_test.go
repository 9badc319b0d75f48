package main

import (
	"bytes"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"hedgerow/edge"
	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/tap"
	"hedgerow/tap/taptest"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; got:\n%s\nwant:\n%s", name, got, want)
	}
}

// memoryTAP is a TAP device without a kernel.
type memoryTAP struct {
	*taptest.Device
	name string
	mac  [6]byte
	mtu  int
}

func (d *memoryTAP) Name() string { return d.name }
func (d *memoryTAP) MAC() [6]byte { return d.mac }
func (d *memoryTAP) MTU() int     { return d.mtu }

func (d *memoryTAP) Queues() []*tap.Queue { return nil }

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

func ms(v float64) *float64 { return &v }

func TestStartUpLines(t *testing.T) {
	at := func(s int) time.Time { return time.Date(2026, 3, 1, 12, 4, s, 0, time.Local) }
	mac := [6]byte{2, 0x5c, 0x1e, 0x9a, 0x40, 0x11}
	sn, snAddr := "vps.example:7654", netip.MustParseAddrPort("203.0.113.10:7654")
	lease := netip.MustParsePrefix("10.64.0.7/24")
	events := []edge.Event{
		{Kind: edge.EventPinned, Supernode: sn, Key: [32]byte{0xab}},
		{Kind: edge.EventRegistered, Supernode: sn, Addr: snAddr, RTT: 23 * time.Millisecond, KeyIndex: 4},
		{Kind: edge.EventLease, Prefix: lease},
		{Kind: edge.EventLease, Prefix: netip.MustParsePrefix("fd00:1::7/64")},
		{Kind: edge.EventMapping, Text: "endpoint-independent mapping"},
		{Kind: edge.EventReady, Elapsed: 1234 * time.Millisecond},
		{Kind: edge.EventLink, Time: at(7), Peer: control.Peer{Name: "harlem-roof", PathStatus: control.PathStatus{Path: control.PathDirect, Endpoint: "198.51.100.4:41641", RTTms: ms(18)}}},
		{Kind: edge.EventLink, Time: at(9), Peer: control.Peer{ID: "9f3a-71c2-e0b4", PathStatus: control.PathStatus{Path: control.PathRelay, Via: sn, RTTms: ms(41), Reason: "trying direct"}}},
		{Kind: edge.EventLink, Time: at(9), Peer: control.Peer{Name: "evil\x1b[2Jname", PathStatus: control.PathStatus{Path: control.PathNone}}},
		{Kind: edge.EventLinkDown, Time: at(10), Peer: control.Peer{Name: "harlem-roof"}},
		{Kind: edge.EventRegistered, Time: at(11), Supernode: sn, Addr: snAddr, RTT: 400 * time.Microsecond},
	}
	for _, format := range []string{"text", "json"} {
		var out, log bytes.Buffer
		r := newReporter(&out, messages(&log), options{Log: logChoice{Format: format}}, "/var/lib/edge/mynetwork")
		r.opened("mynetwork", &memoryTAP{name: "edge0", mac: mac, mtu: 1370}, "9f3a-71c2-e0b4", "/var/lib/edge/mynetwork/id", true)
		for _, ev := range events {
			r.event(ev)
		}
		r.close()
		golden(t, "startup."+format, append(out.Bytes(), log.Bytes()...))
	}
}

func TestSentences(t *testing.T) {
	addr := netip.MustParseAddrPort("203.0.113.10:7654")
	sn := "vps.example:7654"
	mac := [6]byte{2, 5: 0x31}
	nx := &net.DNSError{Err: "no such host", Name: "vps.example", Server: "192.168.1.1:53", IsNotFound: true}
	for _, tt := range []struct {
		ev   edge.Event
		want string
	}{
		{edge.Event{Kind: edge.EventWrongKey, Supernode: sn, Count: 3},
			`3 edges use the name "mynetwork" on vps.example with another key: check -k. [E06]`},
		{edge.Event{Kind: edge.EventWrongKey, Supernode: sn, Count: 1},
			`1 edge uses the name "mynetwork" on vps.example with another key: check -k. [E06]`},
		{edge.Event{Kind: edge.EventNoAnswer, Supernode: sn, Addr: addr, Count: 6, Elapsed: 12 * time.Second},
			"no answer from vps.example:7654 over UDP (6 tries, 12 s): check the address, the server's firewall, or that the supernode runs. [E08]"},
		{edge.Event{Kind: edge.EventNoAnswer, Supernode: sn, Addr: addr, Err: &net.OpError{Err: os.NewSyscallError("sendto", syscall.ECONNREFUSED)}},
			"203.0.113.10:7654 refused: no supernode is listening on that port. [E09]"},
		{edge.Event{Kind: edge.EventResolveFailed, Supernode: sn, Addr: addr, Err: nx},
			"cannot resolve vps.example: NXDOMAIN from 192.168.1.1. Will retry every 30 s; last good address 203.0.113.10 is being tried. [E10]"},
		{edge.Event{Kind: edge.EventResolveFailed, Supernode: sn, Err: &net.DNSError{Err: "server misbehaving"}},
			"cannot resolve vps.example: server misbehaving. Will retry every 30 s. [E10]"},
		{edge.Event{Kind: edge.EventResolveFailed, Supernode: sn, Err: &net.DNSError{IsTimeout: true}},
			"cannot resolve vps.example: no answer. Will retry every 30 s. [E10]"},
		{edge.Event{Kind: edge.EventAddressReplaced, Wanted: netip.MustParsePrefix("10.64.0.7/24"), Prefix: netip.MustParsePrefix("10.64.0.12/24"), MAC: mac},
			"10.64.0.7 is already used by 02:00:00:00:00:31. Got 10.64.0.12 instead. [E11]"},
		{edge.Event{Kind: edge.EventMACTaken, MAC: mac},
			"another edge uses mac 02:00:00:00:00:31 (cloned machine image?). Delete /var/lib/edge/mynetwork/id or use -m random. [E13]"},
		{edge.Event{Kind: edge.EventRefused, Supernode: sn, Err: errors.New("the community is full")},
			"vps.example:7654 refused this edge: the community is full."},
		{edge.Event{Kind: edge.EventKeyChanged, Supernode: sn, Key: [32]byte{0xfb, 0xff}},
			"vps.example:7654 shows another key (-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA) than the one trusted so far: not registering there. " +
				"If the supernode was set up anew, type -l vps.example:7654#-_8AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA; otherwise somebody stands between."},
		{edge.Event{Kind: edge.EventSupernodeLost, Supernode: sn}, "vps.example:7654 no longer answers; trying on. Direct links stay."},
		{edge.Event{Kind: edge.EventScheduleEnds, Elapsed: 100 * time.Hour},
			"the key schedule ends in 4 days: make new keys with 'edge keygen' and give them to every member."},
	} {
		r := &reporter{name: "mynetwork", state: "/var/lib/edge/mynetwork"}
		if got := r.warning(tt.ev); got != tt.want {
			t.Errorf("%q\nwant %q", got, tt.want)
		}
	}
}

func TestAloneAndRefused(t *testing.T) {
	var out, log bytes.Buffer
	l, _ := cli.NewLog(&log, 0, "")
	r := newReporter(&out, l, options{}, "/s")
	r.name = "mynetwrok"
	r.event(edge.Event{Kind: edge.EventAlone, Supernode: "vps.example:7654"})
	r.event(edge.Event{Kind: edge.EventAddressRefused, Wanted: netip.MustParsePrefix("10.64.0.7/24"), MAC: [6]byte{2}})
	r.event(edge.Event{Kind: edge.EventReloaded})
	r.event(edge.Event{Kind: edge.EventReloaded, Err: errors.New("line 3")})
	r.close()
	for _, want := range []string{
		`no other edge is registered as "mynetwrok" on vps.example yet. [E06b]`,
		"the keys were read anew", "the old ones stay", `err="line 3"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q does not say %q", log.String(), want)
		}
	}
	if got, want := r.refusal(), "10.64.0.7 is already used by 02:00:00:00:00:00. Choose another address with -a static:IP/LEN, or leave -a out to be given a free one."; got != want {
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
	l, _ := cli.NewLog(&log, 0, "")
	r := newReporter(out, l, options{}, "/s")
	for range 100 * eventQueue {
		r.event(edge.Event{Kind: edge.EventLinkDown, Peer: control.Peer{Name: strings.Repeat("x", 60)}})
	}
	go func() { _, _ = new(bytes.Buffer).ReadFrom(in) }()
	r.close()
	_ = out.Close()
	if !strings.Contains(log.String(), "events were not shown") {
		t.Errorf("the loss was not told: %q", log.String())
	}
}

func TestSpans(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{rttText(400 * time.Microsecond), "0.4 ms"}, {rttText(9960 * time.Microsecond), "10 ms"}, {rttText(23400 * time.Microsecond), "23 ms"},
		{readyText(40 * time.Millisecond), "40 ms"}, {readyText(1240 * time.Millisecond), "1.2 s"}, {readyText(0), "1 ms"},
		{longSpan(50 * time.Hour), "2 days"}, {longSpan(5 * time.Hour), "5 hours"}, {longSpan(time.Hour), "60 minutes"}, {longSpan(-time.Hour), "0 minutes"},
		{uptime(3*time.Hour + 12*time.Minute), "3h12m"}, {uptime(41 * 24 * time.Hour), "41d0h"}, {uptime(61 * time.Second), "1m1s"}, {uptime(900 * time.Millisecond), "0s"},
		{bytesText(0), "0"}, {bytesText(999), "999"}, {bytesText(1000), "1.0k"}, {bytesText(999499), "999k"}, {bytesText(999500), "1.0M"}, {bytesText(9100000000), "9.1G"},
		{bytesText(1<<64 - 1), "18E"},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}
