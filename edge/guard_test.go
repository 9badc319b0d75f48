package edge

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// lease is what supernodes say that a peer has.
var lease = netip.MustParsePrefix("10.64.0.7/24")

// has fails unless the queues know just these addresses as the peer's.
func (e *testEdge) has(p *peer, want ...netip.Addr) {
	e.tb.Helper()
	e.settle(noon)
	for a, h := range e.data.guard.holders {
		if got := e.data.draft.Holder(a); got != h.peer.view {
			e.tb.Errorf("the queues believe that %v is another's", a)
		}
	}
	if len(p.identity.claims.held) != len(want) {
		e.tb.Errorf("it has %v, want %v", p.identity.claims.held, want)
	}
	for _, a := range want {
		if e.data.draft.Holder(a) != p.view {
			e.tb.Errorf("it does not have %v", a)
		}
	}
}

// TestHolders follows who has an address: by the word of the supernode that comes first,
// and of one supernode by its last word; and the one that follows from an identity.
func TestHolders(t *testing.T) {
	e := newEdge(t, func(c *Config) {
		c.Supernodes = append(c.Supernodes, Supernode{Name: "second:7654", Host: "203.0.113.2", Port: 7654})
	})
	first, second := e.servers.list[0], e.servers.list[1]
	p, q := e.introduced(2), e.introduced(3)
	ula := func(n byte) netip.Addr { return e.keys.community.ULA(testIdentity(n).ID).Addr() }
	e.has(p, ula(2))
	e.data.guard.leased(p, second, lease)
	e.has(p, ula(2), lease.Addr())
	if got := p.view.Standing().Subnet; got != lease.Masked() {
		t.Errorf("the network is %v", got)
	}
	e.data.guard.leased(q, second, lease) // which gave it to somebody else
	e.has(q, ula(3), lease.Addr())
	e.has(p, ula(2))
	e.data.guard.leased(p, first, lease)
	e.has(p, ula(2), lease.Addr())
	e.has(q, ula(3))
	e.data.guard.leased(q, second, netip.Prefix{})
	e.data.guard.leased(p, first, netip.MustParsePrefix("10.64.0.8/24"))
	e.has(p, ula(2), netip.MustParseAddr("10.64.0.8"))
	if e.data.draft.Holder(lease.Addr()) != nil {
		t.Error("an address that was given back is somebody's")
	}
	e.peers.unbind(q)
	e.has(q)
	e.peers.bind(q)
	e.has(q, ula(3))
	e.peers.forget(p)
	e.settle(noon)
	if len(e.data.guard.holders) != 1 || e.data.draft.Holder(ula(2)) != nil {
		t.Errorf("%v after it was forgotten", e.data.guard.holders)
	}
}

// TestHolderMoves: the queues know the view that a peer has now.
func TestHolderMoves(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	e.data.guard.leased(p, e.servers.list[0], lease)
	e.settle(noon)
	e.peers.replaceView(p, protocol.MAC{2, 9, 9, 9, 9, 9})
	e.peers.mark(p)
	e.has(p, lease.Addr(), e.keys.community.ULA(testIdentity(2).ID).Addr())
}

// TestRightsOfPeers: a bridge is one in its session; a listed one has to have proved who
// it is.
func TestRightsOfPeers(t *testing.T) {
	listed, err := bridge.ParseWhom(testIdentity(2).ShortID())
	if err != nil {
		t.Fatal(err)
	}
	e := newEdge(t, func(c *Config) {
		c.Ethernet.Bridge = true
		c.Ethernet.Accept.Bridges = listed
	})
	p, q := e.introduced(2), e.introduced(3)
	rights := func(p *peer) bridge.Rights {
		e.peers.mark(p)
		e.settle(noon)
		return p.view.Standing().Rights &^ bridge.Exchange
	}
	for _, x := range []*peer{p, q} {
		x.identity.proven = false
		if rights(x) != 0 {
			t.Error("a plain edge has rights")
		}
		x.view.SetFeatures(protocol.FeatureBridge)
		if rights(x) != 0 {
			t.Error("a bridge that has not proved who it is has rights")
		}
		x.identity.proven = true
	}
	if got := rights(p); got != bridge.SpeakForHosts|bridge.ServeDHCP|bridge.Advertise {
		t.Errorf("the listed bridge may %b", got)
	}
	if rights(q) != 0 {
		t.Error("another one has rights")
	}
}

// TestAlone: a peer's session says whether hosts are behind it, before that a supernode
// does; of whom nobody says it, nobody knows.
func TestAlone(t *testing.T) {
	e := newEdge(t, nil)
	p := e.introduced(2)
	for _, c := range []struct {
		what string
		said func()
		want bool
	}{
		{"nobody says anything", func() {}, false},
		{"a supernode calls it plain", func() { e.data.guard.described(p, protocol.FeaturePartial) }, true},
		{"a supernode calls it a bridge", func() { e.data.guard.described(p, protocol.FeatureBridge) }, false},
		{"it says that it is plain", func() { p.view.SetFeatures(protocol.FeaturePartial) }, true},
		{"it says that it is a bridge", func() { p.view.SetFeatures(protocol.FeatureBridge | protocol.FeaturePartial) }, false},
	} {
		c.said()
		e.peers.mark(p)
		e.settle(noon)
		if got := p.view.Standing().Alone; got != c.want {
			t.Errorf("%s: alone is %v", c.what, got)
		}
	}
}

// TestViolationsAreToldOnce holds how often the user is told, and what stands in status.
func TestViolationsAreToldOnce(t *testing.T) {
	var told []string
	e := newEdge(t, func(c *Config) {
		c.Host.Report = func(ev control.Event) {
			if ev.Kind == control.EventViolation {
				told = append(told, ev.Text)
			}
		}
	})
	p := e.introduced(2)
	p.about.Name = "harlem-roof"
	notes := func(now time.Time) (list []string) {
		for _, n := range e.status(now).Notes {
			if strings.Contains(n, "frames)") {
				list = append(list, n)
			}
		}
		return list
	}
	v := dataplane.Violation{Peer: p.view, Reason: dataplane.DropStorm, Count: 59, Host: host(1), Storm: bridge.Excess{Source: host(1), Limit: 250}}
	at := noon
	for range 20 {
		e.handle(at, v)
		at = at.Add(5 * time.Second)
	}
	want := "broadcasts and multicasts of host 52:54:00:00:00:01 behind harlem-roof exceed 250 a second: limited. If they are meant, start every edge with a higher --storm. [E21]"
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %q", told)
	}
	if got := notes(at); len(got) != 1 || got[0] != want+" (1180 frames)" {
		t.Errorf("in status: %q", got)
	}
	at = at.Add(violationQuiet)
	if got := notes(at); len(got) != 0 {
		t.Errorf("in status after a minute: %q", got)
	}
	e.handle(at, v)
	if len(told) != 2 {
		t.Errorf("told %d times", len(told))
	}
	for n := range 100 { // one peer makes no more than its share of lines
		v.Host = host(byte(n + 2))
		e.handle(at, v)
	}
	if len(told) != 1+violationsShare {
		t.Errorf("told %d times", len(told))
	}
	for n := range 100 {
		v.Peer = e.introduced(byte(n + 10)).view
		e.handle(at, v)
	}
	if len(e.data.guard.violations.list) != violationsMax {
		t.Errorf("%d are kept", len(e.data.guard.violations.list))
	}
}

// TestViolationSentences: each reason has a sentence that names who, and what to type
// where something is to be typed.
func TestViolationSentences(t *testing.T) {
	e := newEdge(t, func(c *Config) { c.Host.Interface = "edge0" })
	p := e.introduced(2)
	p.about.Name = "harlem-roof"
	for reason, want := range map[dataplane.DropReason][]string{
		dataplane.DropNotBridge:    {"host 52:54:00:00:00:01 behind harlem-roof", "--accept-bridges", "[E25]"},
		dataplane.DropForeignClaim: {"harlem-roof", "[E26]"},
		dataplane.DropAddressTheft: {"harlem-roof", "10.64.0.7", "[E26]"},
		dataplane.DropDHCPServer:   {"harlem-roof", "--accept-dhcp " + p.shortID(), "[E20]"},
		dataplane.DropRouter:       {"harlem-roof", "--accept-ra " + p.shortID(), "[E20]"},
		dataplane.DropHidden:       {"harlem-roof", "[E20]"},
		dataplane.DropStorm:        {"of the hosts behind harlem-roof together", "[E21]"},
	} {
		v := dataplane.Violation{Peer: p.view, Reason: reason, Host: host(1), IP: lease.Addr(), Storm: bridge.Excess{Limit: 7}}
		if reason == dataplane.DropStorm {
			v.Host = protocol.MAC{}
		}
		for _, part := range want {
			if got := e.data.guard.violations.sentence(p, v); !strings.Contains(got, part) {
				t.Errorf("%v: %q does not say %q", reason, got, part)
			}
		}
	}
	for reason, want := range map[dataplane.DropReason]string{
		dataplane.DropNoBridge: "behind the device edge0", dataplane.DropStormSent: "behind this edge",
	} {
		if got := e.data.guard.violations.sentence(nil, dataplane.Violation{Reason: reason, Host: host(1)}); !strings.Contains(got, want) {
			t.Errorf("%v: %q", reason, got)
		}
	}
}

// TestTheftIsLookedInto: a peer with an address that is not its own may have got another
// lease, which the supernodes are asked for.
func TestTheftIsLookedInto(t *testing.T) {
	v := registered(t, nil)
	p := v.introduced(2)
	v.hears()
	v.handle(noon, dataplane.Violation{Peer: p.view, Reason: dataplane.DropAddressTheft, Host: p.view.MAC(), IP: lease.Addr()})
	asked := false
	for _, m := range v.hears() {
		q, err := protocol.ParseQuery(m.value)
		asked = asked || m.typ == protocol.MsgQuery && err == nil && q.MAC == p.view.MAC()
	}
	if !asked {
		t.Error("nobody was asked")
	}
}

// TestFirstARP has a member send its first frame, an ARP request, before any supernode
// has told of it. The frame waits for that, and is delivered with the address that the
// supernode says is the member's, the very moment that it says so.
func TestFirstARP(t *testing.T) {
	id := testIdentity(2)
	st, raw := newEdge(t, nil).sign(id, id.MAC(testCommunity().ID()), 1)
	mac := protocol.MAC(st.MAC)
	for _, sender := range []netip.Addr{lease.Addr(), netip.MustParseAddr("10.64.0.8")} {
		e := newEdge(t, nil)
		s := e.servers.list[0]
		tag := e.keys.community.SenderTag(st.Static)
		ip := sender.As4()
		frame := slices.Concat(protocol.Broadcast[:], mac[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 1}, mac[:], ip[:], make([]byte, 6), []byte{10, 64, 0, 1}, make([]byte, 18))
		ev := dataplane.Unvouched{Inner: fullFrame(frame), Origin: dataplane.Origin{Supernode: s.view, Handle: 12}, XF: 2, KI: 7, Run: 5}
		copy(ev.Salt[8:], tag[:])
		e.handle(noon, ev)
		if n := len(e.device.take()); n != 0 {
			t.Fatalf("%d frames of nobody", n)
		}
		e.servers.directory.handlePeerInfo(noon, s, protocol.PeerInfo{CID: e.self.cid, MAC: mac, Handle: 12, Prefix: lease, Statement: raw})
		e.settle(noon)
		if got := len(e.device.take()) == 1; got != (sender == lease.Addr()) {
			t.Errorf("from %v: delivered %v, dropped %v", sender, got, e.drops())
		}
	}
}
