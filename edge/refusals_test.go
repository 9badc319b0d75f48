package edge

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/handshake"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// provocation is how a test provokes a refusal, and who is named in its debug line.
type provocation struct {
	why refusal
	who string // "": a stranger, whose address or the like is named
	do  func(v *testServer, p *peer)
}

// fromPeer hands in messages of a peer.
func (v *testServer) fromPeer(p *peer, from dataplane.Origin, messages []byte) {
	v.handle(noon, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: from, Messages: messages})
}

// claims has a supernode tell of a member with a hardware address.
func (v *testServer) claims(n byte, mac protocol.MAC) {
	v.tells(n, mac, func(*protocol.PeerInfo, *crypto.Statement) {})
}

// tells has a supernode tell of a member, after a change to what it says.
func (v *testServer) tells(n byte, mac protocol.MAC, change func(*protocol.PeerInfo, *crypto.Statement)) {
	id := testIdentity(n)
	st, _ := v.sign(id, mac, 1)
	m := protocol.PeerInfo{CID: v.self.cid, MAC: mac, Handle: uint32(n)}
	change(&m, &st)
	m.Statement = id.SignStatement(st)
	v.say(noon, m.Append(nil))
}

// full fills the book with peers that are not forgotten.
func (v *testServer) full() {
	for n := range maxPeers {
		mac := manyHosts(n)
		p := &peer{view: dataplane.NewPeer([32]byte(append(mac[:], make([]byte, 26)...)), mac)}
		p.sessions.current = new(dataplane.Session)
		v.peers.byStatic[p.view.Static()] = p
	}
}

var atPeer = dataplane.Origin{Addr: elsewhere}

// provocations has every refusal of the control loop.
var provocations = []provocation{
	{refusedMACInvalid, "", func(v *testServer, _ *peer) { v.claims(9, v.self.mac) }},
	{refusedMACPinned, "", func(v *testServer, _ *peer) {
		v.peers.pins.keep(noon, host(1), [32]byte{5}, v.cfg.Community)
		v.claims(9, host(1))
	}},
	{refusedMACHeld, "", func(v *testServer, _ *peer) { v.claims(8, host(1)); v.claims(9, host(1)) }},
	{refusedOtherIdentity, "roof", func(v *testServer, _ *peer) {
		v.toldBySupernode(host(9), 9, v.lie(thiefOf(9, testIdentity(2)), host(9), 9))
	}},
	{refusedDisputed, "", func(v *testServer, _ *peer) {
		v.claims(8, host(8))
		v.toldBySupernode(host(9), 9, v.lie(thiefOf(9, testIdentity(8)), host(9), 9))
	}},
	{refusedSeqJump, "roof", func(v *testServer, p *peer) {
		_, raw := v.sign(testIdentity(2), p.view.MAC(), 1<<64-1)
		v.toldBySupernode(p.view.MAC(), 2, raw)
	}},
	{refusedStatementRate, "roof", func(v *testServer, p *peer) {
		for range verifyBurst {
			p.sessions.verifying.Take(noon, 1, verifyRate, verifyBurst)
		}
		m := protocol.Statement{Signed: make([]byte, protocol.StatementLen)}
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedBookFull, "sn:7654", func(v *testServer, _ *peer) {
		v.full()
		id := testIdentity(9)
		_, raw := v.sign(id, host(3), 1)
		v.servers.directory.handlePeerInfo(noon, v.s, protocol.PeerInfo{MAC: host(3), Statement: raw})
	}},
	{refusedSession, "roof", func(v *testServer, p *peer) {
		v.sessions.answered(noon, p, &handshake.Result{XF: 99}, halfOpen{from: atPeer})
	}},
	{refusedStatement, "sn:7654", func(v *testServer, _ *peer) {
		v.tells(9, host(1), func(m *protocol.PeerInfo, _ *crypto.Statement) { m.MAC = host(2) })
	}},
	{refusedCommunity, "sn:7654", func(v *testServer, _ *peer) {
		v.tells(9, host(1), func(_ *protocol.PeerInfo, st *crypto.Statement) { st.CID[0]++ })
	}},
	{refusedUnlisted, "roof", func(v *testServer, p *peer) {
		v.listed()
		v.adopts(signedList(v.tb, 5, entry(1, 0)))
	}},
	{refusedListSigned, "roof", func(v *testServer, p *peer) {
		h := inList(v).Head
		h.Serial++
		v.fromPeer(p, atPeer, (&protocol.List{Head: &h}).Append(nil))
	}},
	{refusedListOld, "roof", func(v *testServer, p *peer) {
		inList(v)
		v.self.isolation.admission.floor = 9
		v.fromPeer(p, atPeer, (&protocol.List{Head: &signedList(v.tb, 8, entry(2, 0)).Head}).Append(nil))
	}},
	{refusedListPiece, "roof", func(v *testServer, p *peer) {
		inList(v)
		next := signedList(v.tb, 6, append(fillers(40), entry(2, 0))...)
		v.fromPeer(p, atPeer, (&protocol.List{Head: &next.Head}).Append(nil))
		m, _ := next.Part(1)
		m.Index = 0
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedListLiar, "roof", func(v *testServer, p *peer) {
		inList(v)
		p.identity.listing.lied = true
		v.fromPeer(p, atPeer, (&protocol.List{Head: &signedList(v.tb, 6, entry(2, 0)).Head}).Append(nil))
	}},
	{refusedListRate, "roof", func(v *testServer, p *peer) {
		want := protocol.ListWant{Tag: roster.Tag(&inList(v).Head), Indices: []uint16{99}}
		v.fromPeer(p, atPeer, want.Append(nil))
	}},
	{refusedPairMessage, "roof", func(v *testServer, p *peer) { v.fromPeer(p, atPeer, []byte{byte(protocol.MsgPing), 0, 1, 9}) }},
	{refusedHopMessage, "sn:7654", func(v *testServer, _ *peer) { v.say(noon, []byte{byte(protocol.MsgAck), 0, 1, 9}) }},
	{refusedOldSession, "sn:7654", func(v *testServer, _ *peer) {
		old := v.session
		v.servers.connector.restart(noon.Add(time.Second), v.s)
		v.answer(noon.Add(time.Second))
		v.session = old
		m := ack(1)
		v.say(noon, m.Append(nil))
	}},
	{refusedHopTransform, "sn:7654", func(v *testServer, _ *peer) {
		pkt := make([]byte, 64)
		protocol.Header{Type: protocol.TypeData, XF: protocol.XFDataGCM, KI: 7}.Put(pkt)
		v.handle(noon, dataplane.HopPacket{Origin: v.origin(), Packet: pkt})
	}},
	{refusedHopSession, "sn:7654", func(v *testServer, _ *peer) {
		pkt := make([]byte, 64)
		protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: 1}.Put(pkt)
		v.handle(noon, dataplane.HopPacket{Origin: v.origin(), Packet: pkt})
	}},
	{refusedHopOpen, "sn:7654", func(v *testServer, _ *peer) {
		pkt := v.seal(v.session, protocol.AppendControl(nil))
		pkt[len(pkt)-1] ^= 1
		v.handle(noon, dataplane.HopPacket{Origin: v.origin(), Packet: pkt})
	}},
	{refusedHopInner, "sn:7654", func(v *testServer, _ *peer) {
		v.handle(noon, dataplane.HopPacket{Origin: v.origin(), Packet: v.seal(v.session, []byte{0, 1, 2})})
	}},
	{refusedHopPong, "sn:7654", func(v *testServer, _ *peer) {
		m := protocol.Pong{Nonce: [8]byte{1}, Seen: elsewhere}
		v.say(noon, m.Append(nil))
	}},
	{refusedNak, "sn:7654", func(v *testServer, _ *peer) { m := protocol.Nak{Code: 1}; v.say(noon, m.Append(nil)) }},
	{refusedRelay, "sn:7654", func(v *testServer, _ *peer) { m := protocol.Limited{Dropped: 1}; v.say(noon, m.Append(nil)) }},
	{refusedRedirect, "sn:7654", func(v *testServer, _ *peer) {
		v.say(noon, (&protocol.Redirect{Serial: 1, Key: [32]byte{9}}).Append(nil))
	}},
	{refusedRotate, "sn:7654", func(v *testServer, _ *peer) {
		v.say(noon, (&protocol.Rotate{Serial: 1, Key: [32]byte{9}}).Append(nil))
	}},
	{refusedTURNAddress, "sn:7654", func(v *testServer, _ *peer) {
		m := ack(3)
		m.TURN = protocol.TURNServer{Addr: atServer, User: "u", Password: "p"}
		v.say(noon, m.Append(nil))
	}},
	{refusedWelcome, "sn:7654", func(v *testServer, _ *peer) {
		v.handle(noon, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: protocol.AppendWelcome(nil, [16]byte{1}, [32]byte{2}, [32]byte{3})})
	}},
	{refusedReset, "sn:7654", func(v *testServer, _ *peer) {
		v.handle(noon, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: protocol.AppendReset(nil, 1, testToken)})
	}},
	{refusedResetRate, "sn:7654", func(v *testServer, _ *peer) {
		for range 2 {
			pkt := protocol.AppendReset(nil, v.s.hop.session.Crypto().RemoteIndex(), testToken)
			v.handle(noon, dataplane.HandshakeAnswer{Origin: v.origin(), Packet: pkt})
		}
	}},
	{refusedQueryRate, "sn:7654", func(v *testServer, _ *peer) {
		for n := range queryBurst { // one was asked at the registration
			v.handleEvent(noon, dataplane.MACWanted{MAC: manyHosts(n)})
		}
	}},
	{refusedPathPong, "roof", func(v *testServer, p *peer) {
		m := protocol.Pong{Nonce: [8]byte{1}, Seen: elsewhere}
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedInitAddress, "roof", func(v *testServer, p *peer) {
		v.paths.routing.mayReach(noon, p, netip.MustParseAddrPort("224.0.0.1:7000"), protocol.InitLen)
	}},
	{refusedInitBudget, "roof", func(v *testServer, p *peer) {
		for range 16 { // two tokens each
			v.paths.routing.mayReach(noon, p, elsewhere, protocol.InitLen)
		}
	}},
	{refusedPingMany, "roof", func(v *testServer, p *peer) {
		m := protocol.Ping{Pad: protocol.MinPingPad}
		v.fromPeer(p, atPeer, m.Append(m.Append(nil)))
	}},
	{refusedPingShort, "roof", func(v *testServer, p *peer) {
		m := protocol.Ping{Pad: protocol.MinPingPad - 13} // an IPv4 address takes 12 bytes less than an IPv6 one
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedPingUnproven, "roof", func(v *testServer, p *peer) {
		m := protocol.Ping{Pad: 5000}
		v.handle(noon, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: atPeer, Messages: m.Append(nil), InPieces: true})
	}},
	{refusedRelayPong, "roof", func(v *testServer, p *peer) {
		m := protocol.Pong{Nonce: [8]byte{1}, Seen: elsewhere}
		v.fromPeer(p, dataplane.Origin{Supernode: v.s.view, Handle: 2}, m.Append(nil))
	}},
	{refusedPunch, "sn:7654", func(v *testServer, _ *peer) {
		m := protocol.Punch{Handle: 99, Seen: elsewhere}
		v.say(noon, m.Append(nil))
	}},
	{refusedCallUseless, "roof", func(v *testServer, p *peer) {
		p.reach.path = nil
		v.calls(p)
	}},
	{refusedCallRate, "roof", func(v *testServer, p *peer) {
		for range pairBurst + 1 {
			v.calls(p)
		}
	}},
	{refusedCallsRate, "roof", func(v *testServer, p *peer) {
		for range callBurst {
			v.paths.punching.answers.Take(noon)
		}
		v.calls(p)
	}},
	{refusedCallAck, "roof", func(v *testServer, p *peer) { m := protocol.CallAck{Echo: 5}; v.fromPeer(p, atPeer, m.Append(nil)) }},
	{refusedGo, "roof", func(v *testServer, p *peer) { m := protocol.Go{}; v.fromPeer(p, atPeer, m.Append(nil)) }},
	{refusedForwardUnknown, "roof", func(v *testServer, p *peer) { v.forwards(p, [32]byte{77}) }},
	{refusedForwardPath, "roof", func(v *testServer, p *peer) { v.forwards(p, p.view.Static()) }},
	{refusedForwardRate, "roof", func(v *testServer, p *peer) {
		to := v.neighbour(3)
		for range forwardBurst + 1 {
			v.forwards(p, to.view.Static())
		}
	}},
	{refusedForwardsRate, "roof", func(v *testServer, p *peer) {
		to := v.neighbour(3)
		for range forwardsBurst {
			v.paths.introducers.forwards.Take(noon)
		}
		v.forwards(p, to.view.Static())
	}},
	{refusedForwarded, "roof", func(v *testServer, p *peer) {
		m := protocol.Forwarded{From: v.cfg.Identity.Static, Packet: []byte{1}}
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedForwardedRate, "roof", func(v *testServer, p *peer) {
		for range forwardBurst + 1 {
			m := protocol.Forwarded{From: [32]byte{77}, Packet: []byte{1}}
			v.fromPeer(p, atPeer, m.Append(nil))
		}
	}},
	{refusedIntroducedFull, "roof", func(v *testServer, p *peer) {
		for n := range introducedByOne {
			to := [32]byte{byte(n), byte(n >> 8), 1}
			v.authenticates(noon, to, v.paths.introducers.addrOf(noon, p, to))
		}
		m := protocol.Forwarded{From: [32]byte{77}, Packet: []byte{1}}
		v.fromPeer(p, atPeer, m.Append(nil))
	}},
	{refusedNoIntroducer, "", func(v *testServer, p *peer) {
		side := v.paths.introducers.addrOf(noon, p, [32]byte{77})
		v.handle(noon, dataplane.Forwardable{Side: side, Packet: []byte{1}})
	}},
	{refusedAnnouncement, "", func(v *testServer, _ *peer) { (*networkObserver)(v.Edge).MetOnLAN(noon, []byte{1}, elsewhere) }},
	{refusedHeader, "", func(v *testServer, _ *peer) {
		v.handle(noon, dataplane.HandshakeAnswer{Origin: atPeer, Packet: []byte{1}})
	}},
	{refusedAnswer, "", func(v *testServer, _ *peer) {
		v.handle(noon, dataplane.HandshakeAnswer{Origin: atPeer, Packet: protocol.AppendWelcome(nil, [16]byte{1}, [32]byte{2}, [32]byte{3})})
	}},
	{refusedLinkHeld, "roof", func(v *testServer, p *peer) {
		k := v.paths.links.make(Link{Peer: make([]byte, crypto.LinkPrefixLen)})
		k.Peer = nil // every identity begins so
		v.paths.links.named, v.paths.links.of[new(peer)] = []*link{k}, k
		v.paths.links.bind(p, p.identity.statement.ID)
	}},
	{refusedIsolated, "roof", func(v *testServer, p *peer) {
		c := *v.keys.community
		c.Hubs = hubsOf(9)
		if err := v.replaceKeys(noon, &c, nil); err != nil {
			v.tb.Fatal(err)
		}
		v.settle(noon)
	}},
	{refusedPeerGone, "", func(v *testServer, _ *peer) { v.handle(noon, dataplane.Needed{Peer: new(dataplane.Peer)}) }},
	{"handshake-index", "", func(v *testServer, _ *peer) {
		pkt := make([]byte, protocol.RespLen)
		protocol.Header{Type: protocol.TypeResp, XF: protocol.XFPair, KI: 7, RX: 1}.Put(pkt)
		v.handle(noon, dataplane.HandshakeAnswer{Origin: atPeer, Packet: pkt})
	}},
	{refusedProbe, "", func(v *testServer, _ *peer) {
		forged := protocol.Probe{State: protocol.ProbeForwarding}
		(&segment{refusals: v.user.refusals}).heard(noon, forged.AppendFrame(nil, protocol.MAC{2}))
	}},
	{refusedSegmentPlain, "roof", func(v *testServer, p *peer) {
		v.fromPeer(p, atPeer, says(1, protocol.SegmentForwarding))
	}},
	{refusedSegmentOld, "roof", func(v *testServer, p *peer) {
		p.view.SetFeatures(protocol.FeatureBridge)
		v.fromPeer(p, atPeer, says(2, protocol.SegmentForwarding))
		v.fromPeer(p, atPeer, says(1, protocol.SegmentForwarding))
	}},
	{refusedSegmentHeir, "roof", func(v *testServer, p *peer) {
		c := contest(v, p, false)
		c.says(noon, p, 1, protocol.SegmentForwarding, protocol.SegmentMember{Role: protocol.RoleSucceeded, Static: c.old.view.Static()})
	}},
	{refusedSegmentAlive, "roof", func(v *testServer, p *peer) {
		c := contest(v, p, true)
		c.says(noon, p, 1, protocol.SegmentForwarding, protocol.SegmentMember{Role: protocol.RoleSucceeded, Static: c.old.view.Static()})
		c.says(noon.Add(time.Millisecond), c.old, 1, protocol.SegmentForwarding)
	}},
	{refusedSegmentRate, "roof", func(v *testServer, p *peer) {
		for range segmentAnswerBurst + 1 {
			v.fromPeer(p, atPeer, (&protocol.Segment{Ask: true}).Append(nil))
		}
	}},
	{refusedRoutesPlain, "roof", func(v *testServer, p *peer) {
		v.fromPeer(p, atPeer, (&protocol.Routes{}).Append(nil))
	}},
	{refusedRoutesOld, "roof", func(v *testServer, p *peer) {
		v.paths.subnets.of[p] = new(router)
		v.paths.subnets.handle(noon, p, protocol.Routes{Serial: 2})
		v.paths.subnets.handle(noon, p, protocol.Routes{Serial: 1})
	}},
	{refusedRoutesFull, "roof", func(v *testServer, p *peer) {
		v.paths.subnets.of[p], v.paths.subnets.kept[1] = new(router), maxShown
		v.paths.subnets.handle(noon, p, protocol.Routes{List: []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")}})
	}},
	{refusedRoutesRate, "roof", func(v *testServer, p *peer) {
		v.paths.subnets.of[p] = new(router)
		for range routesBurst + 1 {
			v.paths.subnets.handle(noon, p, protocol.Routes{})
		}
	}},
	{"handshake-mac1", "", func(v *testServer, _ *peer) {
		pkt := make([]byte, protocol.InitLen)
		protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: 7, RX: 1, CTR: protocol.Revision}.Put(pkt)
		v.handle(noon, dataplane.InitReceived{Origin: atPeer, Packet: pkt})
	}},
}

func (v *testServer) calls(p *peer) {
	m := protocol.Call{Gen: 1, Sent: 7}
	v.fromPeer(p, atPeer, m.Append(nil))
}

func (v *testServer) forwards(p *peer, to [32]byte) {
	m := protocol.Forward{To: to, Packet: []byte{1}}
	v.fromPeer(p, atPeer, m.Append(nil))
}

// TestRefusals provokes every refusal: it is counted under its own name alone, and a
// debug line says why and who.
func TestRefusals(t *testing.T) {
	for _, c := range provocations {
		t.Run(string(c.why), func(t *testing.T) {
			log := new(bytes.Buffer)
			v := registered(t, func(cfg *Config) {
				withTransports(cfg)
				cfg.Host.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			p := v.met(2, "roof")
			v.paths.routing.start(noon, p)
			v.settle(noon)
			if d := v.drops(); len(d) != 0 {
				t.Fatalf("counted at the start: %v", d)
			}
			log.Reset()
			c.do(v, p)
			if d := v.drops(); d[string(c.why)] != 1 || len(d) != 1 {
				t.Errorf("counted %v", d)
			}
			line, found := "", false
			for l := range strings.Lines(log.String()) {
				l = strings.TrimSpace(l) + " "
				if strings.Contains(l, "msg=refused") && strings.Contains(l, " reason="+string(c.why)+" ") {
					line, found = l, true
				}
			}
			if !found || c.who != "" && !strings.Contains(line, c.who) {
				t.Errorf("the line is %q in %s", line, log)
			}
		})
	}
}

// onLAN are the refusals whose line the underlay writes.
var onLAN = map[refusal]func(l *lanPackets){
	refusedLANShort: func(l *lanPackets) { _ = l.Check([]byte{1}) },
	refusedLANTag:   func(l *lanPackets) { _ = l.Check(make([]byte, 100)) },
	refusedLANOpen: func(l *lanPackets) {
		pkt, _ := l.Seal(noon, make([]byte, 100))
		pkt[protocol.HeaderLen+protocol.SaltLen+5] ^= 1 // the mask depends on the last bytes
		if l.Check(pkt) == nil {
			_, _ = l.Open(noon, elsewhere, pkt)
		}
	},
	refusedLANInner: func(l *lanPackets) {
		group, send := l.edge.keys.group, l.edge.data.send
		pkt := send.SealGroup(group, func([]byte) []byte { return make([]byte, 200) })
		if l.Check(pkt) == nil {
			_, _ = l.Open(noon, elsewhere, pkt)
		}
	},
}

// inList has the peer of a provocation, and the edge, be in a list.
func inList(v *testServer) *roster.List {
	v.listed()
	l := signedList(v.tb, 5, append(fillers(40), entry(1, 0), entry(2, 0))...)
	v.adopts(l)
	return l
}

// TestLANRefusals counts what comes by the LAN and is no announcement of a member.
func TestLANRefusals(t *testing.T) {
	for why, do := range onLAN {
		e := newEdge(t, nil)
		do(&lanPackets{edge: e.Edge})
		if d := e.drops(); d[string(why)] != 1 || len(d) != 1 {
			t.Errorf("%s: counted %v", why, d)
		}
	}
}

// TestEveryRefusalIsProvoked finds the reasons in the source, so that one without a
// test is noticed.
func TestEveryRefusalIsProvoked(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "refusals.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, c := range provocations {
		have[string(c.why)] = true
	}
	for why := range onLAN {
		have[string(why)] = true
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 || fmt.Sprint(spec.Type) != "refusal" {
			return true
		}
		why, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if !have[why] {
			t.Errorf("nothing provokes %q", why)
		}
		delete(have, why)
		return true
	})
	if len(have) != 2 { // of handshakes
		t.Errorf("%v are no refusals", have)
	}
}
