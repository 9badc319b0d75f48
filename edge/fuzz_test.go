package edge

import (
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// What becomes of the bytes of a fuzzer: events of every kind that carries bytes,
// helped past the gates that nothing random passes.
const (
	asPairMessages   = iota // of a peer, by relay
	asDirectMessages        // of a peer, on the direct path
	asHopMessages           // of the supernode, sealed
	asHopInner              // the same with another inner
	asHopPacket             // a packet of the supernode as it is
	asInit                  // an INIT as it is
	asInitPayload           // the payload of an INIT that opens
	asAnswer                // an answer as it is
	asPairAnswer            // to our INIT to a peer
	asHopAnswer             // to our INIT to the supernode
	asUnvouched             // the inner of a GROUP packet
	asStaged                // a frame for a peer
	asForwardable           // a packet for a peer behind an introducer
	asSTUN                  // of the supernode
	asAnnouncement          // a statement on the LAN
	asLANBody               // control messages on the LAN
	fuzzKinds               // how many there are
)

// fuzzEdge is a registered edge with a peer on a direct path, one by relay and one
// that is reached through the first.
type fuzzEdge struct {
	*testServer
	near, far *peer
	side      dataplane.Origin
}

func newFuzzEdge(tb testing.TB) fuzzEdge {
	v := registered(tb, withTransports)
	near, far := v.neighbour(2), v.met(3, "far")
	v.paths.routing.start(noon, far)
	side := v.paths.introducers.addrOf(noon, near, [32]byte{9})
	v.sessions.initiate(far)
	v.settle(noon)
	v.conn.take()
	return fuzzEdge{v, near, far, dataplane.Origin{Addr: side}}
}

// answerTo returns a packet as an answer to an INIT with an index.
func answerTo(xf protocol.Transform, index uint32, b []byte) []byte {
	kinds := []protocol.Type{protocol.TypeResp, protocol.TypeCookie, protocol.TypeNotice}
	lengths := []int{protocol.RespLen, protocol.CookieLen, protocol.NoticeLen}
	kind := 0
	if len(b) > 0 {
		kind = int(b[0]) % len(kinds)
	}
	pkt := make([]byte, lengths[kind])
	copy(pkt, b)
	protocol.Header{Type: kinds[kind], XF: xf, KI: 7, RX: index}.Put(pkt)
	return pkt
}

// event makes an event of bytes; nil when there is nothing of the queues to tell.
func (f fuzzEdge) event(kind uint8, b []byte) dataplane.Event {
	messages := dataplane.PairMessages{Peer: f.far.view, Origin: dataplane.Origin{Supernode: f.s.view, Handle: 3}, Messages: b}
	if f.far.sessions.current != nil {
		messages.Session = f.far.sessions.current.Crypto()
	}
	switch kind % fuzzKinds {
	case asPairMessages:
		return messages
	case asDirectMessages:
		messages.Peer, messages.Origin, messages.InPieces = f.near.view, dataplane.Origin{Addr: f.near.view.Route().Direct}, true
		return messages
	case asHopMessages:
		return dataplane.HopPacket{Origin: f.origin(), Packet: f.seal(f.session, append(protocol.AppendControl(nil), b...))}
	case asHopInner:
		return dataplane.HopPacket{Origin: f.origin(), Packet: f.seal(f.session, b)}
	case asHopPacket:
		return dataplane.HopPacket{Origin: f.origin(), Packet: b}
	case asInit:
		return dataplane.InitReceived{Origin: f.side, Packet: b}
	case asInitPayload:
		return dataplane.InitReceived{Origin: atPeer, Packet: f.init(b)}
	case asAnswer:
		return dataplane.HandshakeAnswer{Origin: f.origin(), Packet: b}
	case asPairAnswer:
		return dataplane.HandshakeAnswer{Origin: atPeer, Packet: answerTo(protocol.XFPair, f.far.sessions.init.index, b)}
	case asHopAnswer:
		index, _ := f.s.init.initiator.Index()
		return dataplane.HandshakeAnswer{Origin: f.origin(), Packet: answerTo(protocol.XFHop, index, b)}
	case asUnvouched:
		return dataplane.Unvouched{Origin: dataplane.Origin{Supernode: f.s.view, Handle: 3}, Inner: b, XF: 2, KI: 7, CTR: uint64(len(b)), Run: 1}
	case asStaged:
		return dataplane.Staged{Peer: f.far.view, Frame: append(make([]byte, protocol.EthernetLen), b...)}
	case asForwardable:
		return dataplane.Forwardable{Side: f.side.Addr, Packet: b}
	case asSTUN:
		return dataplane.STUNReceived{Addr: atServer, Packet: b}
	}
	return nil
}

// init returns an INIT of a member with a payload of its own.
func (f fuzzEdge) init(b []byte) []byte {
	var payload [protocol.InitPayloadLen]byte
	copy(payload[:], b)
	var hdr [protocol.HeaderLen]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: 7, RX: 77, CTR: protocol.Revision}.Put(hdr[:])
	psk, _ := f.keys.PSK(noon, 7)
	_, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Local: testIdentity(50), CID: f.self.cid, PSK: psk}, f.self.identity.Static, hdr, payload, nil)
	if err != nil {
		f.tb.Fatal(err)
	}
	return pkt
}

// throw has the edge handle what a fuzzer made.
func (f fuzzEdge) throw(now time.Time, kind uint8, b []byte) {
	switch kind % fuzzKinds {
	case asAnnouncement:
		(*networkObserver)(f.Edge).MetOnLAN(now, b, elsewhere)
		f.settle(now)
		return
	case asLANBody:
		l := &lanPackets{edge: f.Edge}
		if pkt, err := l.Seal(now, b[:min(len(b), 1000)]); err == nil && l.Check(pkt) == nil {
			_, _ = l.Open(now, elsewhere, pkt)
		}
		return
	}
	f.handle(now, f.event(kind, b))
}

// FuzzEvents throws three events at the control loop, a while apart. None may panic;
// afterwards everything is settled, nothing is over its bound, what the table says
// follows from the owners, and every owner sleeps until later.
func FuzzEvents(f *testing.F) {
	var bodies [][]byte
	for _, m := range []interface{ Append([]byte) []byte }{
		&protocol.Ping{Nonce: [8]byte{1}, Pad: protocol.MinPingPad}, &protocol.Pong{Nonce: [8]byte{1}, Seen: elsewhere},
		&protocol.Candidates{Gen: 1, List: []protocol.Candidate{{Kind: 1, Addr: elsewhere}}}, &protocol.Call{Gen: 1, Sent: 7, Mapping: 3, Ports: []uint16{1, 2, 3}},
		&protocol.CallAck{Echo: 1}, &protocol.Go{Gen: 1, Delay: goLead}, &protocol.Salt{XF: protocol.XFGroupGCM, KI: 7}, &protocol.About{Name: "x"},
		&protocol.Forward{Packet: []byte{1}}, &protocol.Forwarded{Packet: []byte{1}}, &protocol.Close{},
		&protocol.Nak{Code: 1}, &protocol.Punch{Handle: 3, Seen: elsewhere}, &protocol.PeerInfo{Handle: 3, Statement: make([]byte, protocol.StatementLen)},
	} {
		bodies = append(bodies, m.Append(nil))
	}
	granted := ack(1)
	bodies = append(bodies, granted.Append(nil), protocol.AppendPiece(nil, make([]byte, 100), 0, 2), make([]byte, protocol.InitLen))
	for i, b := range bodies {
		for kind := range uint8(fuzzKinds) {
			other := bodies[(i+int(kind))%len(bodies)]
			f.Add(kind, b, kind, append(other, b...), (kind+1)%fuzzKinds, other)
		}
	}
	f.Fuzz(func(t *testing.T, k1 uint8, b1 []byte, k2 uint8, b2 []byte, k3 uint8, b3 []byte) {
		e := newFuzzEdge(t)
		now := noon
		for _, g := range []struct {
			kind uint8
			b    []byte
		}{{k1, b1}, {k2, b2}, {k3, b3}} {
			if len(g.b) > 1400 {
				return
			}
			e.throw(now, g.kind, g.b)
			e.consistent()
			now = now.Add(150 * time.Millisecond)
			e.pass(now)
			if err := verify(e.Edge, now); err != nil {
				t.Error(err)
			}
			for _, o := range e.owners {
				if at := o.deadline(); !at.IsZero() && !at.After(now) {
					t.Errorf("%T looks again at %v, now is %v", o, at, now)
				}
			}
		}
		if p, s, w := len(e.peers.byStatic), len(e.sessions.pending), len(e.sessions.unvouched.waiting); p > 6 || s > 3 || w > 3 {
			t.Errorf("%d peers, %d handshakes, %d frames of strangers", p, s, w)
		}
	})
}
