package supernode

import (
	"testing"

	"hedgerow/protocol"
)

// TestSurvivesLaterEdges: an edge that says what is reserved, and announces features
// and members that are unknown here, is registered and answered like any other.
func TestSurvivesLaterEdges(t *testing.T) {
	r := newRig(t, Config{})
	e := r.edge(testCommunity("c", "k"), "a", 1)
	e.connect()
	m := e.request()
	m.Features = ^uint32(0) &^ protocol.FeatureStatic
	b := m.Append(nil)
	value := append(b[3:], 0x17, 0, 2, 1, 2, 0x7f, 0, 0) // members 23 and 127
	acked := false
	for _, reply := range e.ask(raw{protocol.MsgRegister, value}) {
		acked = acked || reply.typ == protocol.MsgAck
	}
	if !acked {
		t.Fatalf("not registered: %v", r.s.refused.reasons())
	}
	for _, typ := range []protocol.MsgType{0x2e, 0x2f, 0x3f, 0x40, 0x4f, 0x7f, protocol.MsgHosts, protocol.MsgList, protocol.MsgPaths} {
		answered := false
		for _, reply := range e.ask(raw{typ, junk(300)}, &protocol.Ping{Nonce: [8]byte{byte(typ)}, Pad: protocol.MinPingPad}) {
			answered = answered || reply.typ == protocol.MsgPong
		}
		if !answered {
			t.Errorf("message %v: no PONG behind it", typ)
		}
	}
}
