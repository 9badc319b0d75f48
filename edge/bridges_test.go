package edge

import (
	"slices"
	"strings"
	"testing"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// TestBridgesKeepSessions has a supernode tell of a bridge and of a plain edge. A bridge
// greets the bridge at once, and again when its handshake has failed; nobody else is
// greeted without a frame.
func TestBridgesKeepSessions(t *testing.T) {
	for _, c := range []struct {
		own  bool
		told uint32
		want bool
	}{
		{true, protocol.FeatureBridge, true},
		{true, protocol.FeaturePartial, false},
		{false, protocol.FeatureBridge, false},
	} {
		e := newEdge(t, func(cfg *Config) { cfg.Ethernet.Bridge = c.own })
		p, id := e.introduced(2), testIdentity(2)
		_, raw := e.sign(id, id.MAC(e.self.cid), 1)
		e.servers.directory.handlePeerInfo(noon, e.servers.list[0], protocol.PeerInfo{MAC: p.view.MAC(), Handle: 12, Statement: raw, Features: c.told})
		e.settle(noon)
		if got := p.sessions.init.active(); got != c.want {
			t.Errorf("%+v: greeted %v", c, got)
		}
		e.sessions.endHandshake(p) // it gave up
		e.pass(noon.Add(keepEvery))
		if got := p.sessions.init.active(); got != c.want {
			t.Errorf("%+v: greeted again %v", c, got)
		}
		// What the peer itself says replaces the supernode's word.
		p.view.SetFeatures(protocol.FeaturePartial)
		p.place.kept = false
		e.servers.directory.handlePeerInfo(noon, e.servers.list[0], protocol.PeerInfo{MAC: p.view.MAC(), Handle: 12, Statement: raw, Features: c.told})
		if p.place.kept {
			t.Errorf("%+v: a supernode's word outweighs the peer's", c)
		}
	}
}

// TestCrowded has a bridge advise to route, from the first bridge or host on that is too
// many; other edges have no say in it.
func TestCrowded(t *testing.T) {
	for _, c := range []struct {
		own            bool
		bridges, hosts int // besides the edge itself
		want           bool
	}{
		{true, manyBridges - 1, manyStations, false},
		{true, manyBridges, 0, true},
		{true, 0, manyStations + 1, true},
		{false, manyBridges, 0, false},
	} {
		e := newEdge(t, func(cfg *Config) { cfg.Ethernet.Bridge = c.own })
		for i := range c.bridges {
			e.introduced(byte(2 + i)).view.SetFeatures(protocol.FeatureBridge)
		}
		for i := range c.hosts {
			e.data.plane.Stations().Learn(1, bridge.Key{MAC: manyHosts(i)}, e.introduced(2).view)
		}
		got := slices.ContainsFunc(e.status(noon).Notes, func(n string) bool { return strings.Contains(n, "[E34]") })
		if got != c.want {
			t.Errorf("%+v: told %v", c, got)
		}
	}
}
