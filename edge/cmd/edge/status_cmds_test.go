package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/cli"
	"hedgerow/internal/localapi"
	"hedgerow/internal/render"
)

// shown is an edge with fixed answers.
type shown struct{}

func (shown) Status(context.Context) (control.Status, error) {
	return control.Status{
		Community: "mynetwork", Version: "0.1.0", ID: "9f3a-71c2-e0b4", Device: "edge0", MAC: "02:5c:1e:9a:40:11", MTU: 1370,
		Prefixes: []string{"10.64.0.7/24", "fd00:1::7/64"}, UptimeS: 11520.5,
		Supernodes: []control.SupernodeStatus{
			{Name: "vps.example:7654", Addr: "203.0.113.10:7654", State: control.StateRegistered, RTTms: ms(23.04), ID: strings.Repeat("ab", 32)},
			{Name: "vps2.example:7654", State: control.StateResolving},
		},
		KeyIndex: 4, Peers: control.PeerCount{Seen: 12, Direct: 9, Relayed: 3},
		Traffic: control.Traffic{InFrames: 1000, InBytes: 41_200_000, OutFrames: 500, OutBytes: 6_000_000},
		Drops:   map[string]uint64{"replay": 2, "open": 118, "no route": 3, "short": 1, "rate": 0}, Mapping: "endpoint-independent",
		Notes: []string{"bk-library is only reachable by relay", "the schedule ends soon"},
	}, nil
}

func (shown) Peers(context.Context) ([]control.Peer, error) {
	return []control.Peer{
		{Name: "harlem-roof", ID: "9f3a-71c2-e0b4", MAC: "02:00:00:00:00:03", IPs: []string{"10.64.0.3", "fd00:1::3"},
			PathStatus: control.PathStatus{Path: control.PathDirect, Kind: "reflexive", Endpoint: "198.51.100.4:41641", RTTms: ms(18)},
			SinceS:     ms(7384), Loss: ms(0.05), Payload: 1439, MTU: 1500, RxBytes: 9_100_000_000, TxBytes: 1_200_000_000, LastSeenS: ms(0.2), Hosts: 14,
			Link: &control.Link{Device: "mesh0", Carrier: true, Cost: 113}},
		{Name: "bk-library", ID: "9f3a-71c2-e0b5", MAC: "02:00:00:00:00:09", IPs: []string{"10.64.0.9"},
			PathStatus: control.PathStatus{Path: control.PathRelay, Via: "vps.example:7654", Kind: control.KindUDP, Reason: "the peer's NAT gives every destination another port (at random); next try in 12s", RTTms: ms(41.4)},
			SinceS:     ms(61), Loss: ms(0), Payload: 1387, MTU: 1500, RxBytes: 120_000_000, TxBytes: 33_000_000, LastSeenS: ms(2), Hosts: 9, Handle: 7},
		{ID: "9f3a-71c2-e0b6", MAC: "02:00:00:00:00:0a", IPs: []string{}, PathStatus: control.PathStatus{Path: control.PathNone, Reason: "no traffic, so there is no session"},
			Link: &control.Link{Device: "mesh\x1b1"}},
		{Name: "qns-sn3", ID: "9f3a-71c2-e0b8", MAC: "02:00:00:00:00:02", IPs: []string{"10.64.0.2"},
			PathStatus: control.PathStatus{Path: control.PathDirect, Kind: "host", Endpoint: "[2001:db8::9]:7655", RTTms: ms(6)},
			SinceS:     ms(0.4), Payload: 1419},
		{Name: "desk", ID: "9f3a-71c2-e0b9", MAC: "02:00:00:00:00:0c", IPs: []string{"10.64.0.12"},
			PathStatus: control.PathStatus{Path: control.PathDirect, Kind: control.KindLAN, Endpoint: "192.168.1.12:40112", RTTms: ms(0.3)},
			SinceS:     ms(90061), Payload: 1439},
		{Name: "train", ID: "9f3a-71c2-e0ba", MAC: "02:00:00:00:00:0d", IPs: []string{"10.64.0.13"},
			PathStatus: control.PathStatus{Path: control.PathDirect, Kind: control.KindTURN, Endpoint: "203.0.113.70:50004", RTTms: ms(55)},
			SinceS:     ms(12), Payload: 1405},
		{Name: "laptop-ana", ID: "9f3a-71c2-e0bb", MAC: "02:00:00:00:00:1f", IPs: []string{"10.64.0.31"},
			PathStatus: control.PathStatus{Path: control.PathRelay, Via: "vps.example:7654", Kind: control.KindTLS, RTTms: ms(66), Reason: "none of the peer's 2 addresses answers: a firewall on either side, or UDP is blocked"},
			SinceS:     ms(300), Payload: 1387},
		{Name: "evil\x1b[2J\tname", ID: "9f3a-71c2-e0b7", MAC: "02:00:00:00:00:0b", IPs: []string{"10.64.0.11"}, PathStatus: control.PathStatus{Path: control.PathRelay}},
	}, nil
}

func (shown) FDB(context.Context) (control.FDB, error) {
	return control.FDB{
		Stations: []control.Station{
			{MAC: "52:54:00:00:00:01", Edge: control.Here, AgeS: 0.4, How: "heard"},
			{MAC: "52:54:00:00:00:07", VLAN: 10, Edge: "harlem-roof", ID: "9f3a-71c2-e0b4", AgeS: 12, How: "asked", Moves: 2},
			{MAC: "52:54:00:00:00:08", Edge: "evil\x1b[2J", ID: "9f3a-71c2-e0b7", AgeS: 250, How: "announced", Moves: 1},
		},
		Totals: control.FDBTotals{
			Entries: 2, Size: 32768, Behind: 8192, Moves: 3, Refused: 4, Unknown: 5, Asked: 6, Unasked: 7, Contested: 8, Damped: 9, Ignored: 10, Lost: 11,
			Addresses: &control.AddressTotals{Known: 12, Size: 32768, Refused: 13, Answered: 14, Forwarded: 15, Local: 18, Silent: 16, Contested: 17},
		},
		Groups: control.Groups{
			Members: []control.Member{
				{Group: "239.1.2.3", Edge: control.Here, AgeS: 3},
				{Group: "ff0e::9", VLAN: 10, Edge: "evil\x1b[2J", ID: "9f3a-71c2-e0b7", AgeS: 100},
			},
			All: []string{"harlem-roof", "old\x1b[2J"}, Most: 16384, MostBehind: 512, Refused: 1, Suppressed: 2,
		},
	}, nil
}

func (shown) Routes(context.Context) (control.Routes, error) {
	return control.Routes{
		Announced: []string{"10.1.0.0/16", "fd01::/48"},
		Routes: []control.Route{
			{Prefix: "192.168.7.0/24", Edge: "harlem-roof", ID: "9f3a-71c2-e0b4", Via: "10.64.0.3", State: control.RouteUsed, Cost: 113},
			{Prefix: "192.168.7.0/24", Edge: "bk-library", ID: "9f3a-71c2-e0b5", Via: "10.64.0.9", State: control.RouteSpare, Why: "is reached by harlem-roof", Cost: 224},
			{Prefix: "8.8.8.0/24", Edge: "evil\x1b[2J", ID: "9f3a-71c2-e0b7", State: control.RouteRefused, Why: "is public: it is taken only if --accept-routes names the network"},
		},
	}, nil
}

func (shown) KeyStatus(context.Context) (control.Keys, error) {
	active := uint8(4)
	times := [3]time.Time{}
	for i := range times {
		times[i] = time.Date(2026, time.Month(2+i), 10, 0, 0, 0, 0, time.UTC)
	}
	return control.Keys{
		Community: "mynetwork", Source: "file", Active: &active, Acceptable: []uint8{4, 5}, Next: &times[1], Ends: &times[2],
		Epochs: []control.Epoch{
			{Index: 4, From: &times[0], Until: &times[1], Transform: "auto"},
			{Index: 5, From: &times[1], Until: &times[2], Transform: "aes-256-gcm"},
		},
	}, nil
}

func (shown) Ping(context.Context, control.PingRequest) (control.Ping, error) {
	return control.Ping{}, errors.New("nobody is pinged here")
}

func (shown) Members(context.Context) (control.Members, error) {
	due := time.Date(2026, 3, 31, 12, 0, 0, 0, time.UTC)
	ends := time.Date(2027, 1, 31, 0, 0, 0, 0, time.UTC)
	return control.Members{
		Community: "mynetwork", ID: strings.Repeat("0c", 16), Listed: true, Authority: "x", Serial: 12, Made: due.Add(-30 * 24 * time.Hour), Stale: &due, IsStale: true, NextIndex: 3,
		Entries: []control.ListedMember{
			{ID: strings.Repeat("1a", 32), Name: "desk", Self: true, Roles: []string{"bridge", "hub"}},
			{ID: strings.Repeat("2b", 32), Name: "evil\x1b[2Jname", Session: true, Expires: &ends},
			{ID: strings.Repeat("3c", 32), Revoked: true},
			{ID: strings.Repeat("4d", 32), Expires: &due, Expired: true, Roles: []string{"router"}},
			{ID: strings.Repeat("5e", 32)},
		},
	}, nil
}

func (shown) AdoptMembers(context.Context, []byte) error { return errors.New("no list is taken here") }

func (shown) Reload(context.Context) error { return nil }

func (shown) Counters(context.Context) (control.Counters, error) {
	return control.Counters{
		Queues: []control.QueueCounters{{
			Sleeps: 901, Frames: &control.FrameCounters{Reads: 2000, Writes: 400, In: 1900, Out: 390, SuperIn: 700, SuperOut: 310},
			Datagrams: &control.DatagramCounters{Reads: 410, Writes: 720, In: 18000, Out: 33000, TrainsIn: 400, TrainsOut: 710, GSORefused: 1, Waits: 2, Dropped: 3},
		}},
		Long:  control.LongCounters{Cut: 7, Pieces: 14, Joined: 5, Clamped: 2},
		Drops: map[string]uint64{"replay": 4},
	}, nil
}

// serveAt serves h on a socket until the test ends.
func serveAt(t *testing.T, path string, h http.Handler) {
	t.Helper()
	l, err := localapi.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = localapi.ServeListener(ctx, l, h) }()
	t.Cleanup(func() { cancel(); <-done })
}

// texts are the documents of shown as package render writes them.
func texts(t *testing.T, now time.Time) map[string]string {
	t.Helper()
	all := map[string]string{}
	write := func(name string, f func(w io.Writer) error) {
		var b strings.Builder
		if err := f(&b); err != nil {
			t.Fatal(err)
		}
		all[name] = b.String()
	}
	ctx := t.Context()
	status, _ := shown{}.Status(ctx)
	peers, _ := shown{}.Peers(ctx)
	keys, _ := shown{}.KeyStatus(ctx)
	counters, _ := shown{}.Counters(ctx)
	fdb, _ := shown{}.FDB(ctx)
	routes, _ := shown{}.Routes(ctx)
	write("status", func(w io.Writer) error { return render.Status(w, status) })
	write("peers", func(w io.Writer) error { return render.Peers(w, peers) })
	write("keys", func(w io.Writer) error { return render.Keys(w, keys, now) })
	write("fdb", func(w io.Writer) error { return render.FDB(w, fdb) })
	write("routes", func(w io.Writer) error { return render.Routes(w, routes) })
	members, _ := shown{}.Members(ctx)
	write("members", func(w io.Writer) error { return render.Members(w, members) })
	write("counters", func(w io.Writer) error { return render.Counters(w, counters) })
	return all
}

func TestReads(t *testing.T) {
	dir := t.TempDir()
	serveAt(t, filepath.Join(dir, "mynetwork.sock"), control.Handler(shown{}))
	read := func(args ...string) string {
		cmd := testCommand(map[string]string{"RUNTIME_DIRECTORY": dir, "STATE_DIRECTORY": dir})
		// The sockets of a real edge on this machine do not count.
		args = append(append([]string{program}, args...), "--control", filepath.Join(dir, "mynetwork.sock"))
		if code := cmd.run(t.Context(), args); code != cli.OK {
			t.Fatalf("%v: code %d, %s", args, code, cmd.streams.Err)
		}
		return cmd.streams.Out.(*strings.Builder).String()
	}
	for name, text := range texts(t, testCommand(nil).now()) {
		if got := read(name); got != text || strings.Count(got, "\n") < 3 {
			t.Errorf("%s: %q, want %q", name, got, text)
		}
		golden(t, name+".json", []byte(read(name, "--json")))
	}
}

func TestSocketChoice(t *testing.T) {
	if len(cli.ThisPlace(program).Sockets()) > 0 {
		t.Skip("an edge is running on this machine, and its socket counts")
	}
	dir := t.TempDir()
	ask := func() (string, cli.Code) {
		cmd := testCommand(map[string]string{"RUNTIME_DIRECTORY": dir, "STATE_DIRECTORY": dir})
		code := cmd.run(t.Context(), []string{program, "peers"})
		return cmd.streams.Err.(*strings.Builder).String(), code
	}
	errs, code := ask()
	if code != cli.Failure || !strings.Contains(errs, "no edge is running here") || !strings.Contains(errs, "--control PATH") {
		t.Errorf("without a socket: %d, %s", code, errs)
	}
	serveAt(t, filepath.Join(dir, "a.sock"), control.Handler(shown{}))
	if errs, code = ask(); code != cli.OK {
		t.Errorf("with one socket: %d, %s", code, errs)
	}
	serveAt(t, filepath.Join(dir, "b.sock"), control.Handler(shown{}))
	errs, code = ask()
	if code != cli.Usage || !strings.Contains(errs, "edge peers --control "+filepath.Join(dir, "a.sock")) ||
		!strings.Contains(errs, "edge peers --control "+filepath.Join(dir, "b.sock")) {
		t.Errorf("with two sockets: %d, %s", code, errs)
	}
}

// An edge whose socket somebody has removed is not said to be none.
func TestSocketRemoved(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems do not say who listens")
	}
	if len(cli.ThisPlace(program).Sockets()) > 0 {
		t.Skip("an edge is running on this machine, and its socket counts")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "a.sock")
	l, err := localapi.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"the edge of " + path + " runs and serves, but somebody has removed that socket", "no edge is running "} {
		for _, args := range [][]string{{"health"}, {"peers"}, {"status", "--control", path}} {
			cmd := testCommand(map[string]string{"RUNTIME_DIRECTORY": dir, "STATE_DIRECTORY": dir})
			code := cmd.run(t.Context(), append([]string{program}, args...))
			if says := fmt.Sprint(cmd.streams.Out, cmd.streams.Err); code != cli.Failure || !strings.Contains(says, want) {
				t.Errorf("%q: %d, %s, want %q", args, code, says, want)
			}
		}
		_ = l.Close()
	}
}

func TestReadErrors(t *testing.T) {
	dir := t.TempDir()
	refusing := filepath.Join(dir, "refusing.sock")
	serveAt(t, refusing, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not\x1bnow", http.StatusInternalServerError)
	}))
	for _, tt := range []struct{ path, want string }{
		{filepath.Join(dir, "missing.sock"), "no edge is running at "},
		{refusing, "says: not\uFFFDnow"},
	} {
		cmd := testCommand(nil)
		code := cmd.run(t.Context(), []string{program, "status", "--control", tt.path})
		if errs := cmd.streams.Err.(*strings.Builder).String(); code != cli.Failure || !strings.Contains(errs, tt.want) {
			t.Errorf("%s: %d, %s", tt.path, code, errs)
		}
	}
}
