package edge

import (
	"encoding/binary"
	"testing"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// reserved are the messages that have a number and no layout yet, and some that have
// neither.
var reserved = []protocol.MsgType{
	protocol.MsgSecretKey, protocol.MsgSecretText, protocol.MsgSecretDone, protocol.MsgPaths, protocol.MsgRepair,
	0x0f, 0x17, 0x1f, 0x2e, 0x3f, 0x40, 0x4f, 0x7f,
}

// later appends a message of a later state of version 1.
func later(b []byte, typ protocol.MsgType, n int) []byte {
	b = binary.BigEndian.AppendUint16(append(b, byte(typ)), uint16(n))
	for i := range n {
		b = append(b, byte(i))
	}
	return b
}

// TestSurvivesLaterMessages: an edge of this version skips each message that is
// reserved, whatever is in it, and answers the PING behind it: from a peer and from a
// supernode. HOSTS with flags that it does not know is another.
func TestSurvivesLaterMessages(t *testing.T) {
	a, b, toB, _ := meetOnLAN(t)
	from := dataplane.Origin{Addr: a.conn.addr}
	_ = toB
	peer := b.peers.byStatic[a.self.identity.Static]
	v := registered(t, nil)
	for _, typ := range reserved {
		for _, n := range []int{0, 1, 166, 1200} {
			ping := protocol.Ping{Nonce: [8]byte{byte(typ), byte(n)}, Pad: protocol.MinPingPad}
			b.sentNow()
			b.handle(noon, dataplane.PairMessages{
				Peer: peer.view, Session: peer.sessions.current.Crypto(), Origin: from, Messages: ping.Append(later(nil, typ, n)),
			})
			if carried := carry(noon, b, a); carried[protocol.TypeData] == 0 {
				t.Errorf("a peer's message %v of %d bytes: no PONG", typ, n)
			}
			v.sentNow()
			v.say(noon, ping.Append(later(nil, typ, n)))
			if len(v.sentNow()) == 0 {
				t.Errorf("a supernode's message %v of %d bytes: no PONG", typ, n)
			}
		}
	}
	hosts := (&protocol.Hosts{Seq: 1, List: []protocol.Host{{MAC: protocol.MAC{2, 1}}}}).Append(nil)
	hosts[7], hosts[8] = 0xfc, 0x70
	if m, err := protocol.ParseHosts(hosts[3:]); err != nil || m.First || m.Last || m.List[0].Gone || m.List[0].VLAN != 0 {
		t.Errorf("HOSTS with later flags: %+v, %v", m, err)
	}
	if n := b.drops()["pair-message"] + v.drops()["hop-message"]; n != 0 {
		t.Errorf("%d were refused", n)
	}
}
