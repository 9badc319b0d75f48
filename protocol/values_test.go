package protocol

import (
	"net/netip"
	"strings"
	"time"
)

// run returns n bytes that count up from a.
func run(a byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = a + byte(i)
	}
	return b
}

var (
	addr4  = netip.MustParseAddrPort("192.0.2.1:7654")
	addr6  = netip.MustParseAddrPort("[2001:db8::1]:7654")
	nonce1 = [8]byte(run(1, 8))
	cid    = [16]byte(run(0x10, 16))
	prefix = netip.MustParsePrefix("10.1.2.1/24")
	lease  = netip.MustParsePrefix("10.64.3.9/20")
	proof  = [64]byte(run(0x80, 64))
)

// values are what the good vectors parse to.
var values = map[string]any{
	"header/data":                    Header{Type: TypeData, XF: XFDataGCM, KI: 3, RX: 0x01020304, CTR: 0x05060708090a0b0c},
	"header/group":                   Header{Type: TypeGroup, XF: XFGroupChaCha, RX: 0xdeadbeef},
	"header/relay-all-except-direct": Header{Type: TypeRelay, XF: XFHop, KI: KINone, Flags: FlagExceptDirect, RX: 7, CTR: RelayCTR(HandleAll, 9)},
	"header/unknown-transform":       Header{Type: TypeData, XF: 0x5f, KI: 3, Flags: 3, RX: 1, CTR: 2},

	"hello":         [16]byte(run(0xa0, 16)),
	"welcome":       [32]byte(run(0x40, 32)),
	"reset":         uint32(0x11223344),
	"notice":        Notice{Index: 0x11223344, Indices: []uint8{0, 1, 2}},
	"notice/full":   Notice{Index: 1, Indices: run(10, 8)},
	"init-payload":  InitPayload{Stamp: 0x0102030405060708, Features: 9, VMin: 1, VMax: 1, MAC: testSelf, MTU: 1370, Challenge: [16]byte(run(0xd0, 16))},
	"resp-payload":  RespPayload{Features: 3, Version: 1, MTU: 1370, MAC: testSelf},
	"ping":          Ping{Nonce: nonce1, Gen: 5, Path: 2},
	"ping/padded":   Ping{Nonce: nonce1, Gen: 5, Path: 2, Pad: 20},
	"pong":          Pong{Nonce: nonce1, Seen: addr4, Highest: 1 << 40, Received: 77},
	"pong/relayed":  Pong{Nonce: nonce1, Highest: 3, Received: 2},
	"cand":          Candidates{Gen: 9, List: []Candidate{{1, addr4}, {2, addr6}}},
	"cand/empty":    Candidates{Gen: 9},
	"cand/full":     Candidates{Gen: 1, List: manyCandidates()},
	"go":            Go{Gen: 9, Delay: 150 * time.Millisecond},
	"salt":          Salt{XF: XFGroupGCM, KI: 3, Salt: [16]byte(run(0x50, 16)), Lowest: 0x0102030405060708, Serial: 0x1112131415161718},
	"hosts/empty":   Hosts{Seq: 6},
	"hostask/empty": HostAsk{Seq: 6},
	"hostis/empty":  HostIs{Seq: 6},
	"close":         Close{Reason: CloseRevoked},
	"about/empty":   About{},
	"about/longest": About{Name: strings.Repeat("x", 63), Prefixes: manyPrefixes()},
	"forward":       Forward{To: [32]byte(run(0x20, 32)), Packet: run(0, 40)},
	"forwarded":     Forwarded{From: [32]byte(run(0x40, 32)), Packet: run(7, 1)},
	"statement":     Statement{Signed: run(0, 166)},
	"unregister":    Unregister{},
	"load":          Load{Edges: 1200, Percent: 85},
	"redirect":      Redirect{Serial: 1772366400000, Key: [32]byte(run(1, 32)), Port: 7654, Host: "vps.example"},
	"redirect/key":  Redirect{Serial: 1772366400001, Key: [32]byte(run(1, 32))},
	"redirect/told": Redirect{Serial: 1772366400001},
	"rotate":        Rotate{Serial: 1772366400000, Key: [32]byte(run(1, 32)), Proof: [16]byte(run(33, 16))},
	"rotate/told":   Rotate{Serial: 1772366400001},
	"limited":       Limited{Dropped: 1200, What: LimitedNetworkCopies, Rate: 50000},
	"whoami":        Whoami{Nonce: nonce1, Pad: SeenPad},
	"seen":          Seen{Nonce: nonce1, Addr: addr6},
	"direct":        Direct{Handles: []uint32{1, 2, 0xfffffffe}},
	"direct/empty":  Direct{},
	"announce":      Announce{Statement: run(0, 166), Port: 40123},
	"punch":         Punch{Handle: 77, Seen: addr4, Delay: 150 * time.Millisecond},
	"punch/request": Punch{Handle: 77},
	"query/recent":  Query{},
	"query/mac":     Query{MAC: testSelf},
	"query/handle":  Query{Handle: 77},
	"nak":           Nak{Code: CodeProof},
	"nak/full":      Nak{Code: CodeIPTaken, Retry: 30, Holder: testPeer, Prefix: prefix},
	"nak/removed":   Nak{Code: CodeRemoved, Retry: 60, Since: 1778544000},
	"ack":           Ack{Handle: 0x01020304, ResetToken: [16]byte(run(0xb0, 16))},

	"statement/wanted": Statement{},

	"resp-payload/challenge": RespPayload{Version: 1, Flags: RespChallenge, Challenge: [16]byte(run(0xd0, 16))},
	"pong/ipv6-padded":       Pong{Nonce: nonce1, Seen: addr6, Highest: 3, Received: 2, Pad: 5},
	"call": Call{
		Gen: 9, Sent: 123456, Mapping: 3, Ports: []uint16{40000, 40001}, List: []Candidate{{2, addr4}},
	},
	"callack": CallAck{Echo: 123456, Call: Call{Gen: 4, Sent: 99}},
	"keyupdate": KeyUpdate{
		Version: 7, KI: 4, From: 1700000000, Key: [32]byte(run(0, 32)), Sig: [64]byte(run(64, 64)),
	},
	"hosts":   Hosts{Seq: 6, First: true, Last: true, List: []Host{{MAC: testSelf, Moves: 0x0102}, {VLAN: 4094, Gone: true, MAC: testPeer}}},
	"hostask": HostAsk{Seq: 0x01020304, List: []AskedHost{{MAC: testSelf, Since: 1500 * time.Millisecond}, {VLAN: 4094, MAC: testPeer}}},
	"hostis": HostIs{Seq: 0x01020304, List: []HostAnswer{
		{MAC: testSelf, Known: true, Polled: true, Ago: (1<<32 - 1) * time.Millisecond}, {VLAN: 4094, MAC: testPeer}, {VLAN: 1, MAC: testPeer, Known: true, Since: true, Ago: time.Millisecond},
	}},
	"segment": Segment{
		Serial: 0x0102030405060708, State: SegmentForwarding, Forget: true,
		Members: []SegmentMember{{RoleNeighbour, [32]byte(run(0x20, 32))}, {RoleSucceeded, [32]byte(run(0x40, 32))}},
	},
	"segment/ask":        Segment{Serial: 1, Ask: true},
	"segment/full":       Segment{Serial: 7, State: SegmentStandby, Members: manyMembers()},
	"probe":              testProbe(ProbeStandby, ProbeRank{true, 0x1000, [32]byte(run(0x60, 32))}, 250),
	"probe/tagged":       testProbe(ProbeStandby, ProbeRank{true, 0x1000, [32]byte(run(0x60, 32))}, 250),
	"probe/provider-tag": testProbe(ProbeStandby, ProbeRank{true, 0x1000, [32]byte(run(0x60, 32))}, 250),
	"probe/first":        isolated(testProbe(ProbeListening, ProbeRank{}, 0)),
	"probe/longer":       testProbe(ProbeForwarding, ProbeRank{}, 0),
	"routes":             Routes{Serial: 0x0102030405060708, List: []netip.Prefix{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParsePrefix("fd77::/48"), netip.MustParsePrefix("0.0.0.0/0")}},
	"routes/ask":         Routes{Serial: 1, Ask: true},
	"list":               List{Keys: 3, Head: &ListHead{Serial: 5, Made: 1700000000, Stale: 1702592000, Count: 17, Root: [32]byte(run(0x20, 32)), Sig: [64]byte(run(0x40, 64))}},
	"list/none":          List{},
	"listwant":           ListWant{Tag: [8]byte(run(0x20, 8)), Indices: []uint16{0, 1023}},
	"listpart": ListPart{
		Tag: [8]byte(run(0x20, 8)), Index: 1, Proof: [][32]byte{[32]byte(run(0x60, 32))},
		Entries: []Listed{{ID: [32]byte(run(1, 32)), Roles: 3}, {ID: [32]byte(run(2, 32)), Roles: 0x80, Expiry: 1800000000}},
	},
	"about": About{
		Name: "müll", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.2.3/24"), netip.MustParsePrefix("fd00::1/64")},
	},
	"register": Register{
		CID: cid, RPK: [32]byte(run(0x20, 32)), NH: [32]byte(run(0x40, 32)), MAC: testSelf,
		SigC: proof, Statement: run(0, 166),
	},
	"register/full": Register{
		CID: cid, RPK: [32]byte(run(0x20, 32)), NH: [32]byte(run(0x40, 32)), MAC: testSelf,
		SigC: proof, Statement: run(0, 166), Name: "mynetwork", Prefix: prefix,
		Candidates: []netip.AddrPort{addr4, addr6}, Features: FeatureChaCha | FeatureStatic,
		Token: []byte("token"), User: "bob", Password: "secret",
	},
	"register/listed": Register{
		CID: cid, RPK: [32]byte(run(0x20, 32)), NH: [32]byte(run(0x40, 32)), MAC: testSelf,
		SigC: proof, Statement: run(0, 166),
		Listing: &Listing{
			NameHash: [32]byte(run(0x50, 32)), Authority: [32]byte(run(0x70, 32)),
			Head: &ListHead{Serial: 5, Made: 1700000000, Stale: 1702592000, Count: 17, Root: [32]byte(run(0x20, 32)), Sig: [64]byte(run(0x40, 64))},
		},
	},
	"register/unlisted": Register{
		CID: cid, RPK: [32]byte(run(0x20, 32)), NH: [32]byte(run(0x40, 32)), MAC: testSelf,
		SigC: proof, Statement: run(0, 166), Listing: &Listing{NameHash: [32]byte(run(0x50, 32)), Authority: [32]byte(run(0x70, 32))},
	},
	"ack/full": Ack{
		Handle: 0x01020304, Seen: addr4, Lease: lease, LeaseSeconds: 86400,
		ResetToken: [16]byte(run(0xb0, 16)), NameInUse: 2, Members: 12, Code: CodeIPTaken,
		Holder: testPeer, Features: 1,
		Supernodes: []SupernodeRef{{addr6, [32]byte(run(0x40, 32))}, {addr4, [32]byte(run(0x60, 32))}},
	},
	"ack/turn": Ack{
		Handle: 0x01020304, ResetToken: [16]byte(run(0xb0, 16)),
		TURN: TURNServer{Addr: addr4, User: "1900000000:0a1b2c3d", Password: "x4X6QM2lmfncv70QzAcE1HPDo5o="},
	},
	"peerinfo": PeerInfo{CID: cid, MAC: testSelf, Handle: 77, Statement: run(0, 166)},
	"peerinfo/full": PeerInfo{
		CID: cid, MAC: testSelf, Handle: 77, Prefix: lease, Seen: addr6,
		Candidates: []netip.AddrPort{addr4}, Features: 1, Statement: run(0, 166),
	},
	"peerinfo/silent": PeerInfo{CID: cid, MAC: testSelf, Handle: 77, Statement: run(0, 166), Silent: 47},

	"inner/keepalive":        Inner{Kind: KindControl, Body: []byte{}},
	"inner/control":          Inner{Kind: KindControl, Body: []byte{0x0a, 0, 1, 0}},
	"inner/frame":            Inner{Kind: KindFrame, Body: testFrame(0x0806, run(0, 28))},
	"inner/frame-partial":    Inner{Kind: KindFrame, Partial: true, CsumStart: 0x22, CsumOffset: 6, Body: testFrame(0x0800, run(0, 8))},
	"inner/frame-padded":     Inner{Kind: KindFrame, Body: testFrame(0x0806, []byte{1, 2, 3})},
	"inner/elided-ipv4":      Inner{Kind: KindElided, Form: FormIPv4, Body: []byte("E123")},
	"inner/elided-ipv6":      Inner{Kind: KindElided, Form: FormIPv6, Body: []byte("`123")},
	"inner/elided-vlan-ipv4": Inner{Kind: KindElided, Form: FormVLANIPv4, TCI: 0x200a, Body: []byte("E123")},
	"inner/fragment":         Inner{Kind: KindFragment, Body: []byte("\x81piece")},
	"inner/all-padding":      Inner{Kind: KindControl, Body: []byte{}},
	"inner/elided-vlan-ipv6-partial-padded": Inner{
		Kind: KindElided, Form: FormVLANIPv6, Partial: true, CsumStart: 58, CsumOffset: 16, TCI: 0x200a, Body: []byte("`123"),
	},
}

// testFrame returns an untagged frame from testPeer to testSelf.
func testFrame(etherType uint16, payload []byte) []byte {
	b := append(testSelf[:len(testSelf):len(testSelf)], testPeer[:]...)
	return append(append(b, byte(etherType>>8), byte(etherType)), payload...)
}

// testProbe returns a probe of a bridge that is not isolated.
func testProbe(state ProbeState, forwarder ProbeRank, age uint16) Probe {
	return Probe{
		State: state, Tag: 0xdeadbeef, KI: 3, Boot: 0x0102030405060708, Seq: 77, Rank: ProbeRank{Priority: 0x8000, ID: [32]byte(run(0x20, 32))},
		Static: [32]byte(run(0x40, 32)), Forwarder: forwarder, Age: age, Signature: [64]byte(run(0x80, 64)), MAC: [16]byte(run(0xc0, 16)),
	}
}

func isolated(p Probe) Probe {
	p.Rank.Isolated = true
	return p
}

func manyMembers() []SegmentMember {
	var list []SegmentMember
	for i := range MaxSegmentMembers {
		list = append(list, SegmentMember{RoleForwarder, [32]byte(run(byte(i), 32))})
	}
	return list
}

func manyCandidates() []Candidate {
	var list []Candidate
	for i := range MaxCandidates {
		ip := netip.AddrFrom4([4]byte{198, 51, 100, byte(i)})
		list = append(list, Candidate{3, netip.AddrPortFrom(ip, uint16(1000+i))})
	}
	return list
}

func manyPrefixes() []netip.Prefix {
	var list []netip.Prefix
	for i := range MaxAboutPrefixes {
		list = append(list, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 1}), 32))
	}
	return list
}
