package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// testServer is the supernode of an edge: the other end of its handshakes and
// sessions, driven by hand.
type testServer struct {
	*testEdge
	s         *supernode
	responder *handshake.Responder
	session   *crypto.HopSession
	scratch   *crypto.Scratch
	index     uint32
}

// newServer returns an edge with its supernode; nothing was exchanged yet.
func newServer(tb testing.TB, change func(*Config)) *testServer {
	id := testIdentity(200)
	e := newEdge(tb, func(c *Config) {
		c.Supernodes[0].Key = &id.Static
		if change != nil {
			change(c)
		}
	})
	v := &testServer{testEdge: e, s: e.servers.list[0], scratch: crypto.NewScratch(), index: 500}
	v.responder = handshake.NewResponder(handshake.ResponderConfig{Party: &handshake.Party{
		Hop: true, Identity: id, Index: func() uint32 { v.index++; return v.index },
	}})
	return v
}

// origin is where what the supernode sends comes from.
func (v *testServer) origin() dataplane.Origin {
	return dataplane.Origin{Addr: atServer, Supernode: v.s.view}
}

// answer answers the INIT that the edge has sent last.
func (v *testServer) answer(now time.Time) {
	v.tb.Helper()
	for _, d := range v.sentNow() {
		if len(d.pkt) != protocol.InitLen || !v.s.mask.Show(v.scratch, d.pkt) {
			continue
		}
		opening, _, err := v.responder.Read(now, d.pkt, handshake.Source{Cookie: []byte{1}, Rate: d.to.Addr()})
		if err != nil {
			v.tb.Fatal(err)
		}
		resp, done, err := v.responder.Answer(now, opening, nil)
		if err != nil {
			v.tb.Fatal(err)
		}
		if v.session, err = crypto.NewHopSession(done.SessionConfig(now)); err != nil {
			v.tb.Fatal(err)
		}
		v.handle(now, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: resp})
		return
	}
	v.tb.Fatal("no INIT to answer")
}

// seal seals an inner for the edge.
func (v *testServer) seal(session *crypto.HopSession, inner []byte) []byte {
	v.tb.Helper()
	ctr, err := session.Reserve(1)
	if err != nil {
		v.tb.Fatal(err)
	}
	buf := make([]byte, protocol.HeaderLen, 2000)
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: session.RemoteIndex(), CTR: ctr}.Put(buf)
	return session.Seal(v.scratch, append(buf, inner...))
}

// say has the supernode say something in its session.
func (v *testServer) say(now time.Time, messages []byte) {
	v.tb.Helper()
	v.handle(now, dataplane.HopPacket{Origin: v.origin(), Packet: v.seal(v.session, append(protocol.AppendControl(nil), messages...))})
}

// hears returns what the edge said to the supernode since the last call.
func (v *testServer) hears() (list []heardMessage) {
	v.tb.Helper()
	for _, d := range v.sentNow() {
		if d.to != atServer || !v.s.mask.Show(v.scratch, d.pkt) {
			continue
		}
		inner, err := v.session.Open(v.scratch, d.pkt)
		if err != nil {
			continue // RELAY, STUN, or of another handshake
		}
		in, err := protocol.ParseInner(inner)
		if err != nil {
			v.tb.Fatal(err)
		}
		_ = eachMessage(in.Body, func(typ protocol.MsgType, value []byte) error {
			list = append(list, heardMessage{typ, append([]byte(nil), value...)})
			return nil
		})
	}
	return list
}

// heardMessage is one message that came to the supernode.
type heardMessage struct {
	typ   protocol.MsgType
	value []byte
}

// types returns the types of messages.
func types(list []heardMessage) (types []protocol.MsgType) {
	for _, m := range list {
		types = append(types, m.typ)
	}
	return types
}

// testToken is what the supernode proves its RESETs with.
var testToken = [16]byte{7, 7}

// ack is the answer to a REGISTER.
func ack(members uint32) protocol.Ack {
	return protocol.Ack{Handle: 1, Lease: netip.MustParsePrefix("10.64.0.7/24"), LeaseSeconds: 120, ResetToken: testToken, Members: members, Seen: elsewhere}
}

// registered brings the edge to a registration at noon.
func registered(tb testing.TB, change func(*Config)) *testServer {
	tb.Helper()
	v := newServer(tb, change)
	v.answer(noon)
	m := ack(3)
	v.say(noon, m.Append(nil))
	v.hears()
	return v
}
