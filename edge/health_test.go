package edge

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// ill is how a condition comes about in a healthy edge, and a part of its sentence.
type ill struct {
	config func(c *Config)
	make   func(v *testServer)
	want   string
}

// ills has one for each condition, and more for those that come about in several ways.
var ills = map[string][]ill{
	"identity": {{make: func(v *testServer) { v.self.twin.notice(noon, "sn:7654") }, want: "another machine uses the identity"}},
	"start":    {{config: func(c *Config) { c.Host.Notes = []string{"a note of the start"} }, want: "a note of the start"}},
	"segment": {{config: func(c *Config) { c.Ethernet.Bridge = true }, make: func(v *testServer) { v.paths.segment.device.unwritable = true },
		want: "takes no frames"}},
	"device": {{config: func(c *Config) {
		c.Host.Own.Device = func() tap.Condition { return tap.Condition{MTU: 1370, Notes: []string{"edge0 is down"}} }
	}, want: "edge0 is down"}},
	"narrow bridges": {{config: func(c *Config) { c.Ethernet.Bridge = true }, make: func(v *testServer) {
		p := v.met(2, "roof")
		p.place.mtu = 1280
		p.view.SetFeatures(protocol.FeatureBridge)
	}, want: "the LAN behind roof carries 1280 bytes"}},
	"crowd": {{config: func(c *Config) { c.Ethernet.Bridge = true }, make: func(v *testServer) {
		for n := range byte(manyBridges) {
			v.introduced(n + 2).view.SetFeatures(protocol.FeatureBridge)
		}
	}, want: "[E34]"}},
	"isolation": {{config: hubs(hubNumber), want: "none is reached"}},
	"recursion": {{make: func(v *testServer) { v.user.recursion.noticed(noon, atServer, "sn:7654") }, want: "[E19]"}},
	"supernodes": {
		{make: func(v *testServer) { v.servers.registrar.lost(noon, v.s) }, want: "sn:7654 no longer answers"},
		{make: func(v *testServer) { v.s.reported.refused, v.s.grant.done = protocol.CodeOldStatement, false }, want: "refuses this edge"},
		{make: func(v *testServer) { v.s.stream.conn, v.s.stream.side = fakeStream{}, v.s.hop.at }, want: "it looks blocked"},
		{config: func(c *Config) {
			c.Supernodes = append(c.Supernodes, Supernode{Name: "other:7654", Host: "203.0.113.9", Port: 7654, Key: &[32]byte{9}})
		}, want: "other:7654 has not answered yet. Another supernode serves"},
	},
	"no IPv4": {{make: func(v *testServer) {
		v.underlay.Addresses.Policy().Missing = 4
		p := v.met(2, "roof")
		v.paths.routing.start(noon, p)
		v.paths.routing.setCandidates(noon, p, protocol.Candidates{List: []protocol.Candidate{{Kind: 1, Addr: netip.MustParseAddrPort("203.0.113.5:7000")}}})
	}, want: "1 member has IPv4 addresses alone"}},
	"members": {
		{make: func(v *testServer) { v.listed() }, want: "none is here yet"},
		{make: func(v *testServer) {
			v.listed()
			v.adopts(signedList(v.tb, 1, entry(2, 0)))
		}, want: "this edge is not in the list of members"},
		{make: func(v *testServer) { v.data.lists.store.failure = "the list cannot be kept" }, want: "the list cannot be kept"},
	},
	"relay limits": {{make: func(v *testServer) {
		m := protocol.Limited{Dropped: 7, What: protocol.LimitedCopies, Rate: 25000}
		v.say(noon, m.Append(nil))
	}, want: "sn:7654 has dropped 7 packets of this edge, which sends more through it than its limit of 25000 copies"}},
	"wrong key": {{make: func(v *testServer) {
		m := ack(1)
		m.NameInUse = 1
		v.s.grant.done = false
		v.say(noon, m.Append(nil))
	}, want: "check -k. [E06]"}},
	"addresses": {
		{make: func(v *testServer) { v.s.grant.fault, v.s.grant.offer = "is odd", netip.MustParsePrefix("10.9.0.1/24") }, want: "[E12]"},
		{make: func(v *testServer) {
			v.device.broken = errors.New("no such device")
			v.servers.addresses.set(noon, netip.MustParsePrefix("10.9.0.1/24"))
		}, want: "has not got its address 10.9.0.1/24: no such device"},
		{make: func(v *testServer) {
			v.device.broken = errors.New("busy")
			v.servers.addresses.giveUp(noon, "it is odd")
		}, want: "keeps the address 10.64.0.7/24"},
	},
	"duplicates": {{make: func(v *testServer) {
		p := v.met(2, "roof")
		p.identity.addresses = []netip.Prefix{v.servers.addresses.lease}
		v.servers.duplicates.settle(noon, p)
	}, want: "has the address 10.64.0.7 as well"}},
	"links":   {{make: func(v *testServer) { v.paths.links.auto.failure = "the link is broken" }, want: "the link is broken"}},
	"subnets": {{make: func(v *testServer) { v.paths.subnets.routes.fault = errors.New("no route") }, want: "[E42]"}},
	"violations": {{make: func(v *testServer) {
		v.data.guard.violations.note(noon, v.met(2, "roof"), dataplane.Violation{Reason: dataplane.DropStorm, Storm: bridge.Excess{Limit: 7}})
	}, want: "exceed 7 a second"}},
	"schedule": {{make: func(v *testServer) {
		c := *v.keys.community
		c.Epochs[0].Until = noon.Add(24 * time.Hour)
		v.keys.community = &c
		v.keys.schedule.Replace(&c)
	}, want: "the schedule ends in"}},
	"key file": {{make: func(v *testServer) { _ = v.replaceKeys(noon, nil, errors.New("permission denied")) }, want: "the old ones stay: permission denied"}},
	"clock":    {{config: func(c *Config) { c.Host.Build = noon.Add(24 * time.Hour) }, want: "the clock of this host is wrong"}},
	"book": {{make: func(v *testServer) {
		for n := range maxPeers {
			v.peers.meet(noon, [32]byte{1, 30: byte(n >> 8), 31: byte(n)})
		}
	}, want: "all that it keeps"}},
	"state": {
		{make: func(v *testServer) { v.state.aside = "/elsewhere" }, want: "was damaged at the start"},
		{make: func(v *testServer) {
			v.state.dir = filepath.Join(os.DevNull, "nowhere")
			v.state.keepNow()
		}, want: "the state cannot be kept"},
	},
}

// fakeStream is a stream that goes nowhere.
type fakeStream struct{}

func (fakeStream) Send([]byte)           {}
func (fakeStream) Done() <-chan struct{} { return nil }
func (fakeStream) Close()                {}
func (fakeStream) String() string        { return "TLS to sn:443" }

// TestHealth walks the table of conditions: a healthy edge has no note, each condition has
// one of its own, and so none is in the table that nothing brings about.
func TestHealth(t *testing.T) {
	if notes := registered(t, nil).status(noon).Notes; len(notes) != 0 || notes == nil {
		t.Fatalf("a healthy edge says %q", notes)
	}
	for _, c := range conditions {
		if len(ills[c.name]) == 0 {
			t.Errorf("%s: nothing here brings it about", c.name)
		}
		for _, ill := range ills[c.name] {
			v := registered(t, ill.config)
			if ill.make != nil {
				ill.make(v)
			}
			if got := strings.Join(c.notes(v.Edge, noon), "|"); !strings.Contains(got, ill.want) || got == "" {
				t.Errorf("%s: %q, want %q", c.name, got, ill.want)
			}
			if got := strings.Join(v.status(noon).Notes, "|"); !strings.Contains(got, ill.want) {
				t.Errorf("%s: status has %q", c.name, got)
			}
		}
	}
	if len(ills) != len(conditions) {
		t.Errorf("%d conditions are tried, %d are in the table", len(ills), len(conditions))
	}
}
