package edge

import (
	"bytes"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// says has the edge handle control messages of a peer.
func (e *testEdge) says(now time.Time, p *peer, messages []byte) {
	e.tb.Helper()
	from := dataplane.Origin{Supernode: e.servers.list[0].view, Handle: p.handles[0]}
	e.handle(now, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: from, Messages: messages})
}

// A contest is in the log once, with the address and both edges, and the database says
// where the station is.
func TestStationContest(t *testing.T) {
	var log bytes.Buffer
	e := newEdge(t, func(c *Config) { c.Host.Log = slog.New(slog.NewTextHandler(&log, nil)) })
	roof, library := e.met(1, "roof"), e.met(2, "library")
	roof.view.SetFeatures(protocol.FeatureHosts)
	f := e.data.plane.Stations()
	key := bridge.Key{VLAN: 10, MAC: host(1)}
	now := noon.Add(time.Second)
	ns := e.data.plane.Since(now)
	f.Learn(ns, key, roof.view)
	for range 3 {
		if v := f.Learn(ns, key, library.view); v.Wake {
			e.handle(now, dataplane.StationsDue{})
			if n := len(e.sentNow()); n != 1 {
				t.Fatalf("%d packets, want a question", n)
			}
			m := protocol.HostIs{Seq: 1, List: []protocol.HostAnswer{{VLAN: 10, MAC: host(1), Known: true, Since: true}}}
			e.says(now, library, m.Append(nil)) // who was not asked
			e.says(now, roof, m.Append(nil))
		}
	}
	for _, want := range []string{"mac=" + host(1).String(), "vlan=10", "at=roof", "also=library", "[E33]"} {
		if strings.Count(log.String(), want) != 1 {
			t.Errorf("the log does not say %s once: %s", want, &log)
		}
	}
	f.Local(ns, bridge.Key{MAC: host(2)}, netip.Addr{})
	list := e.data.stations.list(now.Add(time.Second))
	if len(list) != 2 || list[0].Edge != control.Here || list[1] != (control.Station{
		MAC: host(1).String(), VLAN: 10, Edge: "roof", ID: roof.shortID(), AgeS: 1, How: "heard",
	}) {
		t.Errorf("%+v", list)
	}
	if n := e.data.stations.totals(); n.Contested != 1 || n.Asked != 1 || n.Entries != 1 || n.Size != bridge.DefaultSize.All {
		t.Errorf("%+v", n)
	}
}

// A question is answered by one packet, and the LAN is asked for stations as often as
// their bounds allow, whoever asks for how many.
func TestStationsAsked(t *testing.T) {
	e := newEdge(t, nil)
	bad, good := e.met(1, "bad"), e.met(2, "good")
	ns := e.data.plane.Since(noon.Add(time.Second))
	for n := range 300 {
		e.data.plane.Stations().Local(ns, bridge.Key{MAC: manyHosts(n)}, netip.AddrFrom4([4]byte{192, 0, 2, byte(n)}))
	}
	ask := func(now time.Time, p *peer, from int) (answers, polls int) {
		m := protocol.HostAsk{Seq: 1}
		for n := range protocol.MaxHostAsk {
			m.List = append(m.List, protocol.AskedHost{MAC: manyHosts(from + n)})
		}
		e.device.got = nil
		e.says(now, p, m.Append(nil))
		for _, f := range e.device.got {
			if protocol.Frame(f).EtherType() != 0x0806 || protocol.Frame(f).Src() != e.self.mac {
				t.Fatalf("%x is no question", f)
			}
		}
		return len(e.sentNow()), len(e.device.got)
	}
	now := noon.Add(10 * time.Second)
	if answers, polls := ask(now, bad, 0); answers != 1 || polls != peerPollBurst {
		t.Errorf("%d answers, %d polls", answers, polls)
	}
	if _, polls := ask(now, bad, 64); polls != 0 {
		t.Errorf("%d more polls at once", polls)
	}
	if answers, polls := ask(now, good, 128); answers != 1 || polls != peerPollBurst {
		t.Errorf("another peer: %d answers, %d polls", answers, polls)
	}
	if _, polls := ask(now.Add(time.Second), bad, 64); polls != peerPollRate {
		t.Errorf("%d polls a second later", polls)
	}
	// The same are not asked for again.
	if _, polls := ask(now.Add(time.Minute), good, 128); polls != protocol.MaxHostAsk-peerPollBurst {
		t.Errorf("%d polls of stations that were asked for", polls)
	}
}

// However many peers ask, few buckets are kept.
func TestPeerPollsBound(t *testing.T) {
	e := newEdge(t, nil)
	s := e.data.stations
	now := noon
	for range 10 * maxPeerPolls {
		now = now.Add(time.Second / pollRate)
		if !s.mayPoll(now, new(peer)) {
			t.Fatal("refused")
		}
	}
	if n := len(s.peerPolls); n > maxPeerPolls {
		t.Errorf("%d buckets", n)
	}
}

// A station that is sought is asked for on the LAN, unless it is known where it is.
func TestStationSought(t *testing.T) {
	e := newEdge(t, bridging(0))
	roof := e.met(1, "roof")
	e.data.plane.Gate().Set(true)
	now := noon.Add(10 * time.Second)
	ns := e.data.plane.Since(now)
	e.data.plane.Stations().Local(ns, bridge.Key{MAC: host(1)}, netip.Addr{})
	e.data.plane.Stations().Learn(ns, bridge.Key{MAC: host(2)}, roof.view)
	e.data.plane.Stations().Learn(e.data.plane.Since(noon), bridge.Key{MAC: host(3)}, roof.view)
	for n, polls := range map[byte]int{1: 0, 2: 0, 3: 1, 4: 1} {
		e.device.got = nil
		e.handle(now, dataplane.StationSought{Key: bridge.Key{VLAN: 0, MAC: host(n)}, Addr: netip.MustParseAddr("192.0.2.1")})
		if len(e.device.got) != polls {
			t.Errorf("station %d: %d questions", n, len(e.device.got))
		}
	}
	e.device.got = nil
	e.data.plane.Gate().Set(false)
	e.handle(now, dataplane.StationSought{Key: bridge.Key{MAC: host(4)}, Addr: netip.MustParseAddr("192.0.2.1")})
	if len(e.device.got) != 0 {
		t.Error("asks although another bridge forwards")
	}
}
