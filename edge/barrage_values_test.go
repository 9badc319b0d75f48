package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// What a tape makes messages of: values that parse, and that nobody honest would send.

// somewhere are addresses that must not be probed, or that are somebody's.
var somewhere = func() (list []netip.Addr) {
	for _, text := range []string{
		"127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254", "203.0.113.1", "203.0.113.2", "192.0.2.66", "192.0.2.1", "10.64.0.7",
		"::1", "::", "ff02::1", "fe80::1", "fd00::1", "2001:db8::5", "100::1", "64:ff9b::7f00:1",
		"11.1.0.0", "11.1.0.1", "11.1.0.2", "11.1.0.3", "12.0.0.1", "12.0.0.2", "12.0.0.3",
	} {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}()

func (b *besieged) addr() netip.AddrPort {
	ip := somewhere[b.tape.Pick(len(somewhere))]
	if b.tape.Pick(4) == 0 {
		return netip.AddrPortFrom(ip, uint16(b.tape.Number()))
	}
	return netip.AddrPortFrom(ip, []uint16{6000, 4000, 7654, 40000, 1024, 53, 5060, 0}[b.tape.Pick(8)])
}

// static returns a key of a member, our own, a weak one or one of nobody.
func (b *besieged) static() [32]byte {
	switch n := b.tape.Pick(8); n {
	case 4:
		return b.self.identity.Static
	case 5:
		return [32]byte{}
	case 6:
		return [32]byte{1}
	case 7:
		return besieger(30).Static
	default:
		return b.members[n].Identity().Static
	}
}

// mac returns a hardware address of a member, our own, a group's or a host's.
func (b *besieged) mac() protocol.MAC {
	switch n := b.tape.Pick(12); n {
	case 4:
		return b.self.mac
	case 5:
		return protocol.MAC{}
	case 6:
		return protocol.Broadcast
	case 7:
		return protocol.MAC{0x33, 0x33, 0, 0, 0, 1}
	case 8, 9, 10:
		return host(b.tape.Byte())
	case 11:
		return manyHosts(b.tape.Pick(256)<<8 | b.tape.Pick(256))
	default:
		return b.members[n].MAC
	}
}

// lies are statements that were signed before: to sign one takes longer than all that
// the edge does with it.
var lies = make(map[lieOf][]byte)

type lieOf struct {
	id     byte
	static [32]byte
	mac    protocol.MAC
	seq    uint64
}

// statement returns a statement that verifies: of an identity that may be any hostile
// one's, with a static key, an address and a number that may be anybody's.
func (b *besieged) statement() (raw []byte, mac protocol.MAC) {
	seqs := [...]uint64{0, 1, 2, 1 << 40, uint64(noon.UnixMilli()), uint64(noon.Add(time.Hour).UnixMilli()), uint64(noon.Add(25 * time.Hour).UnixMilli()), 1<<64 - 1}
	signers := [...]byte{9, 10, 11, 13, 14, 30} // all but the honest member's
	of := lieOf{signers[b.tape.Pick(len(signers))], b.static(), b.mac(), seqs[b.tape.Pick(len(seqs))]}
	if lies[of] == nil {
		id := *besieger(of.id)
		id.Static = of.static
		if len(lies) > 1<<16 {
			clear(lies)
		}
		lies[of] = id.SignStatement(crypto.Statement{CID: b.self.cid, MAC: [6]byte(of.mac), Seq: of.seq, Expiry: 1 << 40})
	}
	return lies[of], of.mac
}

// candidates returns up to sixteen addresses.
func (b *besieged) candidates() (list []protocol.Candidate) {
	for range b.tape.Byte() % 17 {
		list = append(list, protocol.Candidate{Kind: 1 + b.tape.Byte()%7, Addr: b.addr()})
	}
	return list
}

// theCall returns what is said of a NAT.
func (b *besieged) theCall() protocol.Call {
	c := protocol.Call{Gen: uint32(b.tape.Number()), Sent: uint32(b.tape.Number()), Mapping: b.tape.Byte() % 5, List: b.candidates()}
	for range b.tape.Byte() % 17 {
		c.Ports = append(c.Ports, uint16(b.tape.Number()))
	}
	return c
}

// delay returns a time of up to 70 s.
func (b *besieged) delay() time.Duration {
	return time.Duration(b.tape.Number()%70000) * time.Millisecond
}

// prefix returns an overlay address.
func (b *besieged) prefix() netip.Prefix {
	list := [...]string{
		"10.64.0.7/24", "10.64.0.8/24", "0.0.0.0/0", "129.1.1.1/1", "8.8.8.1/24", "127.0.0.1/8", "224.0.0.1/4", "255.255.255.255/32", "10.0.0.0/8",
		"10.0.0.1/31", "169.254.1.1/16", "192.168.1.1/24", "198.51.100.1/24", "::/0", "::1/128", "ff02::1/128", "fe80::1/64", "fd00::1/64",
	}
	return netip.MustParsePrefix(list[b.tape.Pick(len(list))])
}

// message returns one message of a member.
func (b *besieged) message(m *farMember) []byte {
	n := b.tape.Pick(len(pairMessages))
	return pairMessages[n](b, m).Append(nil)
}

// appender is a message.
type appender interface{ Append([]byte) []byte }

// pairMessages make the messages of members.
var pairMessages = []func(b *besieged, m *farMember) appender{
	func(b *besieged, m *farMember) appender {
		return &protocol.Ping{Nonce: [8]byte{b.tape.Byte()}, Gen: uint32(b.tape.Number()), Path: b.tape.Byte(), Pad: int(b.tape.Number() % 1200)}
	},
	func(b *besieged, m *farMember) appender {
		p := &protocol.Pong{Nonce: m.ping, Seen: b.addr(), Highest: b.tape.Number(), Received: uint32(b.tape.Number()), Pad: int(b.tape.Number() % 1200)}
		if b.tape.Pick(4) == 0 {
			p.Nonce = [8]byte{b.tape.Byte()}
		}
		return p
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.Candidates{Gen: uint32(b.tape.Number()), List: b.candidates()}
	},
	func(b *besieged, m *farMember) appender { c := b.theCall(); return &c },
	func(b *besieged, m *farMember) appender {
		return &protocol.CallAck{Echo: uint32(b.tape.Number()), Call: b.theCall()}
	},
	func(b *besieged, m *farMember) appender { return &protocol.CallAck{Echo: m.call, Call: b.theCall()} },
	func(b *besieged, m *farMember) appender {
		return &protocol.Go{Gen: uint32(b.tape.Number()), Delay: b.delay()}
	},
	func(b *besieged, m *farMember) appender { return b.salt(m) },
	func(b *besieged, m *farMember) appender {
		return &protocol.About{Name: string(make([]byte, b.tape.Byte()%64)), Prefixes: []netip.Prefix{b.prefix(), b.prefix()}}
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.Forward{To: b.static(), Packet: b.packet(m)}
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.Forwarded{From: b.static(), Packet: b.packet(m)}
	},
	func(b *besieged, m *farMember) appender {
		if b.tape.Pick(16) != 0 {
			return &protocol.Ping{Pad: protocol.MinPingPad}
		}
		return &protocol.Close{Reason: b.tape.Byte()}
	},
	func(b *besieged, m *farMember) appender { return &protocol.Statement{Signed: b.tape.Bytes(180)} },
	func(b *besieged, m *farMember) appender {
		raw, _ := b.statement()
		return &protocol.Statement{Signed: raw}
	},
	func(b *besieged, m *farMember) appender { return &protocol.Statement{Signed: m.Statement} },
	func(b *besieged, m *farMember) appender { return b.hostAsk() },
	func(b *besieged, m *farMember) appender { return b.hostIs(m) },
	func(b *besieged, m *farMember) appender { return b.theSegment() },
	func(b *besieged, m *farMember) appender {
		r := &protocol.Routes{Serial: b.tape.Number(), Ask: b.tape.Pick(2) == 0}
		for range b.tape.Byte() % 40 {
			r.List = append(r.List, b.prefix().Masked())
		}
		return r
	},
	func(b *besieged, m *farMember) appender {
		h := &protocol.Hosts{Seq: uint32(b.tape.Number()), First: b.tape.Pick(2) == 0, Last: b.tape.Pick(2) == 0}
		for range b.tape.Byte() % 20 {
			h.List = append(h.List, protocol.Host{VLAN: uint16(b.tape.Number()), Gone: b.tape.Pick(2) == 0, Moves: uint16(b.tape.Number()), MAC: b.mac()})
		}
		return h
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.KeyUpdate{Version: b.tape.Number(), KI: b.tape.Byte(), XF: protocol.Transform(b.tape.Byte()), Until: b.tape.Number()}
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.List{Keys: b.tape.Number(), Head: &protocol.ListHead{Serial: b.tape.Number(), Stale: b.tape.Number(), Count: 1 + uint16(b.tape.Byte())}}
	},
	func(b *besieged, m *farMember) appender {
		w := &protocol.ListWant{}
		for range 1 + b.tape.Pick(protocol.MaxWanted) {
			w.Indices = append(w.Indices, uint16(b.tape.Number()))
		}
		return w
	},
	func(b *besieged, m *farMember) appender {
		return &protocol.ListPart{
			Index: uint16(b.tape.Number()), Entries: make([]protocol.Listed, 1+b.tape.Pick(protocol.PieceEntries)), Proof: make([][32]byte, b.tape.Pick(protocol.MaxProof+1)),
		}
	},
}

// salt returns a SALT that may be the member's own.
func (b *besieged) salt(m *farMember) *protocol.Salt {
	if m.Group != nil && b.tape.Pick(3) == 0 {
		s := m.Salt()
		return &s
	}
	s := &protocol.Salt{XF: protocol.Transform(b.tape.Byte()), KI: 7, Lowest: b.tape.Number(), Serial: b.tape.Number()}
	copy(s.Salt[:], b.tape.Bytes(8))
	switch b.tape.Pick(4) {
	case 0:
		s.KI = b.tape.Byte()
	case 1:
		s.XF = protocol.XFGroupGCM
	}
	if b.tape.Pick(3) != 0 {
		tag := b.keys.community.SenderTag(m.Identity().Static)
		copy(s.Salt[8:], tag[:])
	}
	return s
}

// packet returns a packet in a FORWARD: any bytes, or an INIT of the sender.
func (b *besieged) packet(m *farMember) []byte {
	if n := b.tape.Pick(8); n != 0 {
		return append(make([]byte, 1+b.tape.Number()%1000), b.tape.Bytes(20)...)
	}
	return make([]byte, protocol.InitLen)
}

func (b *besieged) hostAsk() *protocol.HostAsk {
	q := &protocol.HostAsk{Seq: uint32(b.tape.Number())}
	for range b.tape.Byte() % 65 {
		q.List = append(q.List, protocol.AskedHost{VLAN: uint16(b.tape.Number()), MAC: b.mac(), Since: b.delay()})
	}
	return q
}

func (b *besieged) hostIs(m *farMember) *protocol.HostIs {
	a := &protocol.HostIs{Seq: m.ask}
	if b.tape.Pick(4) == 0 {
		a.Seq = uint32(b.tape.Number())
	}
	for range b.tape.Byte() % 65 {
		flags := b.tape.Byte()
		a.List = append(a.List, protocol.HostAnswer{
			VLAN: uint16(b.tape.Number()), MAC: b.mac(), Known: flags&1 != 0, Since: flags&2 != 0, Polled: flags&4 != 0, Ago: b.delay(),
		})
	}
	return a
}

func (b *besieged) theSegment() *protocol.Segment {
	s := &protocol.Segment{
		Serial: b.tape.Number(), State: protocol.SegmentState(b.tape.Byte() % 7), Forget: b.tape.Pick(2) == 0, Ask: b.tape.Pick(2) == 0,
	}
	for range b.tape.Byte() % 17 {
		s.Members = append(s.Members, protocol.SegmentMember{Role: protocol.SegmentRole(b.tape.Byte() % 5), Static: b.static()})
	}
	return s
}

// handleOf returns the handle of a member, or any.
func (b *besieged) handleOf() uint32 {
	if b.tape.Pick(4) != 0 {
		return 1 + uint32(b.tape.Pick(besiegers))
	}
	return uint32(b.tape.Number())
}

// hopMessages make the messages of the supernode.
var hopMessages = []func(b *besieged) appender{
	func(b *besieged) appender {
		return &protocol.Ping{Nonce: [8]byte{b.tape.Byte()}, Gen: uint32(b.tape.Number()), Path: b.tape.Byte(), Pad: int(b.tape.Number() % 1200)}
	},
	func(b *besieged) appender {
		return &protocol.Pong{Nonce: b.hub.ping, Seen: b.addr(), Highest: b.tape.Number(), Received: uint32(b.tape.Number()), Pad: int(b.tape.Number() % 1200)}
	},
	func(b *besieged) appender { return b.theAck() },
	func(b *besieged) appender {
		return &protocol.Nak{Code: b.tape.Byte() % 12, Retry: uint16(b.tape.Number()), Holder: b.mac(), Prefix: b.prefix()}
	},
	func(b *besieged) appender { return b.peerInfo() },
	func(b *besieged) appender { return b.peerInfo() },
	func(b *besieged) appender {
		return &protocol.Punch{Handle: b.handleOf(), Seen: b.addr(), Delay: b.delay()}
	},
	func(b *besieged) appender { return &protocol.Direct{Handles: []uint32{b.handleOf(), b.handleOf()}} },
	func(b *besieged) appender { return &protocol.Seen{Addr: b.addr()} },
	func(b *besieged) appender { return &protocol.Whoami{Pad: int(b.tape.Number() % 1200)} },
	func(b *besieged) appender { return &protocol.Unregister{} },
	func(b *besieged) appender { c := b.theCall(); return &c },
}

func (b *besieged) theAck() *protocol.Ack {
	a := ack(besiegers)
	a.Seen = besiegedAt
	for range 1 + b.tape.Pick(4) {
		switch b.tape.Pick(9) {
		case 0:
			a.Lease = b.prefix()
		case 1:
			a.Seen = b.addr()
		case 2:
			a.LeaseSeconds = uint32(b.tape.Number())
		case 3:
			a.Handle = b.handleOf()
		case 4:
			a.TURN = protocol.TURNServer{Addr: b.addr(), User: "u", Password: "p"}
		case 5:
			a.Members, a.NameInUse = uint32(b.tape.Number()), uint32(b.tape.Number())
		case 6:
			a.Code, a.Holder = b.tape.Byte()%12, b.mac()
		case 7:
			a.Features = uint32(b.tape.Number())
		case 8:
			for range b.tape.Byte() % 9 {
				a.Supernodes = append(a.Supernodes, protocol.SupernodeRef{Addr: b.addr(), Key: b.static()})
			}
		}
	}
	return &a
}

func (b *besieged) peerInfo() *protocol.PeerInfo {
	if b.tape.Pick(3) == 0 { // of a member, with something changed
		m := b.members[b.tape.Pick(besiegers)]
		info := m.info()
		info.Handle, info.Seen, info.Features = b.handleOf(), b.addr(), uint32(b.tape.Number())
		for range b.tape.Byte() % 17 {
			info.Candidates = append(info.Candidates, b.addr())
		}
		if b.tape.Pick(2) == 0 {
			info.Prefix = b.prefix()
		}
		return &info
	}
	raw, mac := b.statement()
	return &protocol.PeerInfo{CID: b.self.cid, MAC: mac, Handle: b.handleOf(), Statement: raw, Features: uint32(b.tape.Number()), Seen: b.addr(), Prefix: b.prefix()}
}
