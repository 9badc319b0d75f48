package edge

import (
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// hubs makes the identities with some numbers the hubs of a community.
func hubs(numbers ...byte) func(*Config) {
	return func(cfg *Config) {
		cfg.Ethernet.Hubs = hubsOf(numbers...)
	}
}

func hubsOf(numbers ...byte) (list [][32]byte) {
	if len(numbers) == 0 {
		return nil
	}
	var text []string
	for _, n := range numbers {
		id := [32]byte(testIdentity(n).ID)
		text = append(text, crypto.EncodeHubs([][32]byte{id}))
	}
	list, err := crypto.ParseHubs(strings.Join(text, " "))
	if err != nil {
		panic(err)
	}
	return list
}

// The edge of these tests, a hub, and leaves.
const (
	selfNumber = 1
	hubNumber  = 2
	leafNumber = 3
)

// TestWhomLeavesGreet has an edge hear of a hub and of a leaf. A leaf greets the hub at
// once, and again while there is no session; it greets no leaf, whatever for, and answers
// none. A hub greets hubs at once and leaves when there is something to send.
func TestWhomLeavesGreet(t *testing.T) {
	for _, c := range []struct {
		name                 string
		hubs                 []byte
		atOnce, needed, kept [2]bool // the hub, the leaf
	}{
		{"a leaf", []byte{hubNumber}, [2]bool{true, false}, [2]bool{true, false}, [2]bool{true, false}},
		{"a hub", []byte{selfNumber, hubNumber}, [2]bool{true, false}, [2]bool{true, true}, [2]bool{true, false}},
		{"no hubs", nil, [2]bool{}, [2]bool{true, true}, [2]bool{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for i, n := range []byte{hubNumber, leafNumber} {
				v := registered(t, func(cfg *Config) { cfg.Ethernet.Hubs = hubsOf(c.hubs...) })
				v.claims(n, protocol.MAC(testIdentity(n).MAC(v.self.cid)))
				p := v.peers.byStatic[testIdentity(n).Static]
				check := func(what string, want bool) {
					t.Helper()
					if got := p.sessions.init.active(); got != want {
						t.Errorf("%d %s: greeted %v, want %v", n, what, got, want)
					}
					v.sessions.endHandshake(p)
					v.settle(noon)
				}
				check("at once", c.atOnce[i])
				v.handle(noon, dataplane.Staged{Peer: p.view, Frame: make([]byte, 60)})
				check("for a frame", c.needed[i])
				v.pass(noon.Add(keepEvery))
				check("later", c.kept[i])
			}
		})
	}
}

// TestDisputedHub has somebody claim a hub's key, as any member can on a LAN. The hub is
// greeted all the same.
func TestDisputedHub(t *testing.T) {
	v := registered(t, hubs(hubNumber))
	hub, thief := testIdentity(hubNumber), testIdentity(leafNumber)
	p := v.peers.meet(noon, hub.Static)
	st := crypto.Statement{ID: [32]byte(thief.ID), Static: hub.Static, CID: v.self.cid, MAC: thief.MAC(v.self.cid), Seq: 9, Expiry: 1 << 40}
	v.peers.told(noon, p, st, thief.SignStatement(st))
	v.settle(noon)
	v.claims(hubNumber, protocol.MAC(hub.MAC(v.self.cid)))
	if !p.sessions.init.active() {
		t.Error("the hub is not greeted")
	}
}

// TestHubProves has a peer prove that it is a hub, or that it is none. Before that, what
// waits for it waits, and its word decides nothing; a leaf ends the session with another
// leaf, and does not answer it any more.
func TestHubProves(t *testing.T) {
	v := registered(t, hubs(hubNumber))
	hub := v.hinted(hubNumber)
	v.promote(hub, v.testEdge.session(hub, noon, 200, true))
	v.peers.setHandle(hub, 0, hubNumber)
	v.settle(noon)
	if s := hub.view.Standing(); s.Rights.Has(bridge.Exchange) || !s.Hub {
		t.Errorf("before its word: %+v", s)
	}
	v.handle(noon, dataplane.Staged{Peer: hub.view, Frame: slices.Concat(make([]byte, 6), v.self.mac[:], make([]byte, 50))})
	if n := v.sessions.staged.count[hub]; n != 1 {
		t.Errorf("%d frames wait for a hub that has not said who it is", n)
	}
	v.fromPeer(hub, atPeer, (&protocol.HostAsk{}).Append(nil))
	if v.drops()["isolated-session"] != 1 {
		t.Errorf("its questions are answered: %v", v.drops())
	}
	v.proves(hub, hubNumber)
	if s := hub.view.Standing(); !s.Rights.Has(bridge.Exchange) || v.sessions.staged.count[hub] != 0 {
		t.Errorf("by its word: %+v, %d frames wait", s, v.sessions.staged.count[hub])
	}
	v.consistent()

	leaf := v.peers.meet(noon, testIdentity(leafNumber).Static) // by an INIT: nobody has told of it
	v.promote(leaf, v.testEdge.session(leaf, noon, 300, false))
	v.peers.setHandle(leaf, 0, leafNumber)
	v.settle(noon)
	v.proves(leaf, leafNumber)
	if !leaf.sessions.idle() || leaf.view.Standing().Rights.Has(bridge.Exchange) {
		t.Error("a leaf keeps a session with another")
	}
	v.consistent()
	before := v.drops()["isolated-session"]
	psk, _ := v.keys.PSK(noon, 7)
	v.handle(noon, dataplane.InitReceived{Origin: atPeer, Packet: v.initOf(testIdentity(leafNumber), 7, psk, noon)})
	if !leaf.sessions.idle() || v.drops()["isolated-session"] != before+1 {
		t.Error("a leaf answers another")
	}
	if list := v.user.describer.list(noon); len(list) != 2 || list[0].Ethernet.Role+list[1].Ethernet.Role != "hubleaf" && list[0].Ethernet.Role+list[1].Ethernet.Role != "leafhub" {
		t.Errorf("roles: %+v", list)
	}
}

// TestHubsChange has the community file name hubs, other hubs, and none any more, while the
// edge runs.
func TestHubsChange(t *testing.T) {
	v := registered(t, nil)
	hub, leaf := v.met(hubNumber, "hub"), v.met(leafNumber, "leaf")
	reload := func(numbers ...byte) {
		t.Helper()
		c := *v.keys.community
		c.Hubs = hubsOf(numbers...)
		if err := v.replaceKeys(noon, &c, nil); err != nil {
			t.Fatal(err)
		}
		v.settle(noon)
		v.consistent()
	}
	check := func(what string, isolated bool, with ...*peer) {
		t.Helper()
		if v.data.draft.Isolated() != isolated || (v.sessions.party.Features&protocol.FeatureIsolated != 0) != isolated {
			t.Errorf("%s: isolated %v", what, v.data.draft.Isolated())
		}
		for _, p := range []*peer{hub, leaf} {
			if got := p.view.Standing().Rights.Has(bridge.Exchange); got != slices.Contains(with, p) {
				t.Errorf("%s: frames pass with %v: %v", what, p.title(), got)
			}
		}
	}
	check("at first", false, hub, leaf)
	reload(hubNumber)
	check("with a hub", true, hub)
	if !leaf.sessions.idle() || hub.sessions.none() {
		t.Error("the session with the leaf goes on, or that with the hub does not")
	}
	reload(leafNumber)
	check("with another hub", true, leaf)
	reload(selfNumber)
	check("as a hub", true, hub, leaf)
	reload()
	check("without hubs", false, hub, leaf)
	if v.sessions.party.Features&^v.self.features != 0 || v.servers.connector.party.Features != v.self.features {
		t.Error("a supernode is told of the hubs")
	}
}

// TestHubSettings refuses hubs where they protect nothing, or where two sources differ.
func TestHubSettings(t *testing.T) {
	for _, c := range []struct {
		what, says string
		change     func(*Config)
	}{
		{"an open community", "anybody could be one", func(c *Config) { c.Community.Insecure = true; c.Ethernet.Hubs = hubsOf(2) }},
		{"two lists", "leave --hubs out", func(c *Config) { c.Community.Hubs = hubsOf(2, 3); c.Ethernet.Hubs = hubsOf(2) }},
		{"the same list", "", func(c *Config) { c.Community.Hubs = hubsOf(2, 3); c.Ethernet.Hubs = hubsOf(3, 2) }},
	} {
		cfg := testConfig()
		c.change(&cfg)
		if _, err := compose(cfg, noon); (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	v := registered(t, hubs(hubNumber))
	other := *v.keys.community
	other.Hubs = hubsOf(leafNumber)
	if err := v.replaceKeys(noon, &other, nil); err == nil || !strings.Contains(err.Error(), "leave --hubs out") {
		t.Errorf("a file that contradicts --hubs is taken: %v", err)
	}
}

// TestHubNotes has status say that no hub is reached, who knows nothing of the hubs, and
// what was dropped.
func TestHubNotes(t *testing.T) {
	noted := func(e *testEdge, what string, want ...string) {
		t.Helper()
		notes := strings.Join(e.status(noon).Notes, "\n")
		for _, code := range []string{"[E38]", "[E39]"} {
			if got := strings.Contains(notes, code); got != slices.Contains(want, code) {
				t.Errorf("%s: %s is said %v in %q", what, code, got, notes)
			}
		}
	}
	knowing := func(e *testEdge, p *peer, features uint32) {
		s := dataplane.NewSession(p.sessions.current.Crypto(), p.view, features)
		s.Confirm()
		e.promote(p, s)
		e.settle(noon)
	}
	e := newEdge(t, hubs(hubNumber))
	if got := e.status(noon).Ethernet.Role; got != "leaf" {
		t.Errorf("the role is %q", got)
	}
	noted(e, "alone", "[E39]")
	hub := e.met(hubNumber, "hub")
	noted(e, "with a hub that knows nothing", "[E38]")
	knowing(e, hub, protocol.FeatureIsolated)
	noted(e, "with a hub")
	e.sessions.closed(hub)
	e.settle(noon)
	noted(e, "the hub has gone", "[E39]")

	e = newEdge(t, nil)
	noted(e, "nobody isolated")
	knowing(e, e.met(hubNumber, "hub"), protocol.FeatureIsolated)
	noted(e, "where others know hubs", "[E38]")

	e = newEdge(t, hubs(selfNumber))
	noted(e, "a hub")
	p := e.met(leafNumber, "leaf")
	knowing(e, p, protocol.FeatureIsolated)
	dropped := func(p *peer, group bool, want ...string) {
		t.Helper()
		e.handle(noon, dataplane.Violation{Peer: p.view, Reason: dataplane.DropIsolated, Count: 1, Group: group})
		noted(e, "after a violation", want...)
		e.data.guard.violations.list = nil
	}
	dropped(p, true, "[E38]")

	e = newEdge(t, hubs(hubNumber))
	hub = e.hinted(hubNumber)
	dropped(hub, false, "[E39]") // it has yet to say who it is
	silent := e.peers.meet(noon, testIdentity(leafNumber).Static)
	dropped(silent, false, "[E38]", "[E39]")
	hub = e.met(hubNumber, "hub")
	knowing(e, hub, protocol.FeatureIsolated)
	dropped(hub, false)
	dropped(hub, true, "[E38]")
}

// TestHubsAreFound asks the supernodes for hubs that are not known, and for no others.
func TestHubsAreFound(t *testing.T) {
	v := registered(t, hubs(hubNumber))
	want := protocol.MAC(testIdentity(hubNumber).MAC(v.self.cid))
	asked := func(at time.Duration) (found bool, all int) {
		v.hears()
		v.pass(noon.Add(at))
		for _, m := range v.hears() {
			if m.typ == protocol.MsgQuery {
				q, err := protocol.ParseQuery(m.value)
				found = found || err == nil && q.MAC == want
				all++
			}
		}
		return found, all
	}
	if found, _ := asked(findFirst); !found {
		t.Error("the hub is not asked for")
	}
	v.claims(hubNumber, want)
	if _, all := asked(time.Minute); all > 0 {
		t.Errorf("%d questions although the hub is known", all)
	}
}

// TestIntroducersOfLeaves has a hub forward nothing between two leaves.
func TestIntroducersOfLeaves(t *testing.T) {
	v := registered(t, func(cfg *Config) { withTransports(cfg); hubs(selfNumber, hubNumber)(cfg) })
	a, b, hub := v.neighbour(leafNumber), v.neighbour(4), v.neighbour(hubNumber)
	for _, c := range []struct {
		from, to *peer
		refused  uint64
	}{{a, hub, 0}, {hub, b, 0}, {a, b, 1}} {
		before := v.drops()["isolated-session"]
		m := protocol.Forward{To: c.to.view.Static(), Packet: []byte{1}}
		v.fromPeer(c.from, atPeer, m.Append(nil))
		if got := v.drops()["isolated-session"] - before; got != c.refused {
			t.Errorf("%v to %v: %d refused, want %d", c.from.shortID(), c.to.shortID(), got, c.refused)
		}
	}
}
