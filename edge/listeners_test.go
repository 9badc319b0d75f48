package edge

import (
	"slices"
	"testing"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// TestWhoForwardsAsks has a bridge ask the hosts behind it for their multicast groups in
// the moment in which it begins to forward. While it stands by it asks nobody, and nothing
// wakes it to look whether it does.
func TestWhoForwardsAsks(t *testing.T) {
	l := &lan{T: t, now: noon, edges: []*testEdge{newEdge(t, bridging(0)), newEdge(t, func(c *Config) {
		bridging(7)(c)
		c.Ethernet.Priority = 5
	})}}
	l.edges[0].data.listeners.begin(noon)
	l.run(5 * time.Second)
	l.check("standby", "forwarding")
	first := l.edges[0]
	if at := first.data.listeners.deadline(); !at.IsZero() {
		t.Errorf("it stands by, and looks again in %v", at.Sub(l.now))
	}
	first.handle(l.now, dataplane.GroupsDue{})
	asked := func() bool {
		allHosts := protocol.MAC{1, 0, 0x5e, 0, 0, 1}
		return slices.ContainsFunc(first.device.take(), func(f []byte) bool { return protocol.Frame(f).Dst() == allHosts })
	}
	if asked() {
		t.Error("it stands by, and asks")
	}
	l.edges[1].paths.segment.goodbye(l.now)
	first.handle(l.now, dataplane.ProbeHeard{Frame: l.edges[1].device.take()[0]})
	first.pass(l.now)
	if !first.data.plane.Gate().Open() || !asked() {
		t.Error("it forwards, and does not ask")
	}
}
