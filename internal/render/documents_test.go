package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/control"
	"hedgerow/supernode/admin"
	"hedgerow/transport/stream"
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

func ms(v float64) *float64 { return &v }

// document decodes testdata/name.json and compares its text with name.text.
func document[T any](t *testing.T, name string, write func(io.Writer, T) error) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var v T
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := write(&out, v); err != nil {
		t.Fatal(err)
	}
	golden(t, name+".text", out.Bytes())
}

func TestDocuments(t *testing.T) {
	document(t, "status", Status)
	document(t, "peers", Peers)
	document(t, "counters", Counters)
	document(t, "fdb", FDB)
	document(t, "routes", Routes)
	document(t, "netcheck", Netcheck)
	document(t, "keys", func(w io.Writer, v control.Keys) error {
		return Keys(w, v, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	})
}

// TestRouteChanges tells what came, changed and went, and nothing of what stayed.
func TestRouteChanges(t *testing.T) {
	used, spare := control.RouteUsed, control.RouteSpare
	before := control.Routes{Routes: []control.Route{{Prefix: "a", ID: "1", Edge: "x", State: used}, {Prefix: "a", ID: "2", Edge: "y", State: spare}, {Prefix: "b", ID: "1", Edge: "x", State: used}}}
	after := control.Routes{Routes: []control.Route{{Prefix: "a", ID: "1", Edge: "x", State: used, Cost: 9}, {Prefix: "a", ID: "2", Edge: "y\x1b", State: used}, {Prefix: "c", ID: "1", Edge: "x", State: spare, Why: "z"}}}
	var b bytes.Buffer
	if err := RouteChanges(&b, before, after); err != nil {
		t.Fatal(err)
	}
	if want := "> a  by y\ufffd  used\n+ c  by x  spare: z\n- b  by x  used\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// TestFDBChanges tells what came, moved and went, and nothing of what stayed.
func TestFDBChanges(t *testing.T) {
	before := control.FDB{Stations: []control.Station{{MAC: "a", Edge: "x", AgeS: 1}, {MAC: "a", VLAN: 7, Edge: "x"}, {MAC: "b", Edge: "x"}}}
	after := control.FDB{Stations: []control.Station{{MAC: "a", Edge: "x", AgeS: 2}, {MAC: "b", Edge: "y\x1b"}, {MAC: "c", Edge: control.Here}}}
	var b bytes.Buffer
	if err := FDBChanges(&b, before, after); err != nil {
		t.Fatal(err)
	}
	if want := "> b  vlan -  x > y\uFFFD\n+ c  vlan -  here\n- a  vlan 7  x\n"; b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestNoPeers(t *testing.T) {
	var b bytes.Buffer
	if err := Peers(&b, nil); err != nil || b.String() != "no peers yet\n" {
		t.Errorf("%q, %v", b.String(), err)
	}
}

func TestKeysWithoutEnd(t *testing.T) {
	var b bytes.Buffer
	active := uint8(0)
	v := control.Keys{Community: "n", Active: &active, Acceptable: []uint8{0}, Epochs: []control.Epoch{{}}}
	if err := Keys(&b, v, time.Time{}); err != nil {
		t.Fatal(err)
	}
	want := "n           1 epoch\nactive      index 0\naccepted    0\nnext roll   none\nends        never\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

func TestKeysThatHaveEnded(t *testing.T) {
	var b bytes.Buffer
	ends := time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)
	v := control.Keys{Community: "n", Ends: &ends, Warning: "the schedule has ended", Epochs: []control.Epoch{{}, {}}}
	if err := Keys(&b, v, ends.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	want := "n           2 epochs\nactive      none\naccepted    none\nnext roll   none\nends        2026-02-01 00:00 UTC\nwarning     the schedule has ended\n"
	if b.String() != want {
		t.Errorf("%q, want %q", b.String(), want)
	}
}

// Without a NAT, and with nothing at all.
func TestNetcheckElsewhere(t *testing.T) {
	public := control.Netcheck{
		IPv4:    control.Underlay{Address: "198.51.100.4", Interface: "eth0", Public: []string{"198.51.100.4"}},
		IPv6:    control.Underlay{Address: "2001:db8:1::20", Interface: "eth0", Public: []string{"2001:db8:1::20"}},
		NAT:     &control.NAT{Mapping: "endpoint-independent", Filtering: control.FilteringClosed, Ports: control.PortsKept},
		Servers: []control.ServerReach{{Name: "203.0.113.10:7654", UDP: []control.UDPReach{{Address: "203.0.113.10:7654", Sent: 10, Lost: 1, RTTms: ms(8.25)}}}},
		Verdict: "no NAT", Advice: []string{},
	}
	nothing := control.Netcheck{
		IPv4:        control.Underlay{Address: "192.168.1.20", Interface: "wlan0"},
		PortMapping: &control.PortMapping{Problem: "there is no default route of IPv4"},
		Servers:     []control.ServerReach{{Name: "203.0.113.10:7654", UDP: []control.UDPReach{{Address: "203.0.113.10:7654", Sent: 10, Lost: 10}}}},
		Verdict:     "no server answers", Advice: []string{"check"},
	}
	for name, v := range map[string]control.Netcheck{"netcheck-public.text": public, "netcheck-nothing.text": nothing} {
		var b bytes.Buffer
		if err := Netcheck(&b, v); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

// A device in a bridge says in which.
func TestStatusOfPort(t *testing.T) {
	var b bytes.Buffer
	if err := Status(&b, control.Status{Device: "edge0", MTU: 1500, Ethernet: control.EthernetStatus{Bridge: "br0"}}); err != nil || !strings.Contains(b.String(), "mtu 1500  in br0\n") {
		t.Errorf("%v, %s", err, b.String())
	}
}

func TestSupernodeStatus(t *testing.T) {
	v := admin.Status{
		Version: "0.1.0", Listen: netip.MustParseAddrPort("[::]:7654"), Key: strings.Repeat("k", 43), UptimeS: 3600 * 3.5,
		Edges: 12, Leases: 14, Communities: []admin.CommunityStatus{
			{ID: strings.Repeat("0f", 16), Edges: 11, Leases: 12, Pool: netip.MustParsePrefix("10.64.0.0/20"), Relayed: admin.Traffic{Bytes: 88_123_456_789, Floods: 7}},
			{ID: "ab\x1b", Edges: 1, Leases: 2, Pool: netip.MustParsePrefix("10.64.16.0/20")},
		},
		Streams: &stream.Status{Open: 2, Listen: []netip.AddrPort{netip.MustParseAddrPort("0.0.0.0:443"), netip.MustParseAddrPort("[::]:7654")}},
		Drops:   map[string]uint64{"replay": 2, "open": 5, "stamp": 5, "never": 0}, SetAside: "/var/lib/supernode/registrations.db.damaged-20260301T120000.000Z",
	}
	var b bytes.Buffer
	if err := SupernodeStatus(&b, v); err != nil {
		t.Fatal(err)
	}
	golden(t, "supernode.text", b.Bytes())
	for want, totals := range map[string]admin.Totals{
		"rules       3, closed for everybody else\n": {Rules: 3, Closed: true}, "rules       0, closed for everybody else\n": {Closed: true},
		"rules       3, open for everybody else\n":           {Rules: 3},
		"month       880G of 1.0T, until 1 April 2026 UTC\n": {Month: admin.Month{Used: 880e9, Limit: 1e12}, MonthEnds: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
		"month       5.0k, until 1 April 2026 UTC\n":         {Month: admin.Month{Used: 5000}, MonthEnds: time.Date(2026, 4, 1, 0, 0, 0, 0, time.UTC)},
	} {
		b.Reset()
		if err := SupernodeStatus(&b, admin.Status{Totals: totals}); err != nil || !strings.Contains(b.String(), want) {
			t.Errorf("%q lacks %q, %v", b.String(), want, err)
		}
	}
	b.Reset()
	if err := SupernodeStatus(&b, admin.Status{Version: "0.1.0"}); err != nil || strings.Contains(b.String(), "streams") || strings.Contains(b.String(), "dropped") || strings.Contains(b.String(), "rules") {
		t.Errorf("%q, %v", b.String(), err)
	}
}

// full is a terminal that takes no more.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, io.ErrShortWrite }

// An error of the writer is returned by every document.
func TestFullTerminal(t *testing.T) {
	for name, err := range map[string]error{
		"status": Status(full{}, control.Status{}), "peers": Peers(full{}, []control.Peer{{}}), "no peers": Peers(full{}, nil),
		"keys": Keys(full{}, control.Keys{}, time.Time{}), "counters": Counters(full{}, control.Counters{}),
		"fdb": FDB(full{}, control.FDB{}), "changes of the fdb": FDBChanges(full{}, control.FDB{}, control.FDB{Stations: []control.Station{{}}}),
		"routes": Routes(full{}, control.Routes{}), "changes of routes": RouteChanges(full{}, control.Routes{}, control.Routes{Routes: []control.Route{{}}}),
		"groups": Groups(full{}, control.Groups{}), "no groups": Groups(full{}, control.Groups{Transparent: true}),
		"netcheck": Netcheck(full{}, control.Netcheck{}), "supernode": SupernodeStatus(full{}, admin.Status{}),
	} {
		if err != io.ErrShortWrite {
			t.Errorf("%s: %v", name, err)
		}
	}
}
