package edge

import (
	"net/netip"
	"testing"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// liar has a fuzzer's bytes choose what a member, a supernode and somebody on the
// LAN say: messages that parse, with values that nobody honest would send. Its reader
// gives zeros when the bytes are over.
type liar struct {
	fuzzEdge
	b     []byte
	moves int // made so far
}

// byte returns the next byte.
func (h *liar) byte() byte {
	if len(h.b) == 0 {
		return 0
	}
	c := h.b[0]
	h.b = h.b[1:]
	return c
}

// number returns one of the values at which something may break, or any.
func (h *liar) number() uint64 {
	edges := [...]uint64{0, 1, 2, 3, 255, 1 << 15, 1<<16 - 1, 1<<31 - 1, 1<<32 - 1, 1 << 53, 1 << 63, 1<<64 - 1, uint64(noon.UnixMilli()), uint64(noon.Add(time.Hour).UnixMilli())}
	if n := int(h.byte()); n < len(edges)*8 {
		return edges[n%len(edges)]
	}
	return uint64(h.byte())<<8 | uint64(h.byte())
}

// addr returns an address that must not be probed, one that is somebody's, or any.
func (h *liar) addr() netip.AddrPort {
	list := [...]string{
		"127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "169.254.169.254", "203.0.113.1", "203.0.113.2", "192.0.2.66", "10.64.0.7",
		"::1", "::", "ff02::1", "fe80::1", "fd00::1", "2001:db8::5", "100::1", "64:ff9b::7f00:1",
	}
	return netip.AddrPortFrom(netip.MustParseAddr(list[int(h.byte())%len(list)]), uint16(h.number()))
}

// static returns a key of the peers, our own, a weak one or one of nobody.
func (h *liar) static() [32]byte {
	list := [...][32]byte{h.near.view.Static(), h.far.view.Static(), h.self.identity.Static, {}, {1}, {9}, testIdentity(9).Static}
	return list[int(h.byte())%len(list)]
}

// mac returns a hardware address of the peers, our own, a group's or one of nobody.
func (h *liar) mac() protocol.MAC {
	list := [...]protocol.MAC{h.near.view.MAC(), h.far.view.MAC(), h.self.mac, {}, protocol.Broadcast, host(1), host(2), protocol.MAC(testIdentity(9).MAC(h.self.cid))}
	return list[int(h.byte())%len(list)]
}

// lie returns a statement that verifies: of an identity that may be anybody's, with a
// static key, an address and a number that may be anybody's.
func (h *liar) statement() (raw []byte, mac protocol.MAC) {
	id := *testIdentity(8 + h.byte()%4)
	id.Static, mac = h.static(), h.mac()
	return h.lie(&id, mac, h.number()), mac
}

// candidates returns up to sixteen addresses.
func (h *liar) candidates() (list []protocol.Candidate) {
	for range h.byte() % 17 {
		list = append(list, protocol.Candidate{Kind: 1 + h.byte()%7, Addr: h.addr()})
	}
	return list
}

// call returns what is said of a NAT.
func (h *liar) call() protocol.Call {
	c := protocol.Call{Gen: uint32(h.number()), Sent: uint32(h.number()), Mapping: h.byte(), List: h.candidates()}
	for range h.byte() % 17 {
		c.Ports = append(c.Ports, uint16(1024+h.number()%60000))
	}
	return c
}

// message returns one message of a peer.
func (h *liar) message(p *peer) []byte {
	var nonce [8]byte
	nonce[0] = h.byte()
	var m interface{ Append([]byte) []byte }
	switch h.byte() % 16 {
	case 0:
		m = &protocol.Ping{Nonce: nonce, Gen: uint32(h.number()), Path: h.byte(), Pad: int(h.number() % 1200)}
	case 1:
		m = &protocol.Pong{Nonce: nonce, Seen: h.addr(), Highest: h.number(), Received: uint32(h.number()), Pad: int(h.number() % 1200)}
	case 2:
		m = &protocol.Candidates{Gen: uint32(h.number()), List: h.candidates()}
	case 3:
		c := h.call()
		m = &c
	case 4:
		m = &protocol.CallAck{Echo: uint32(h.number()), Call: h.call()}
	case 5:
		m = &protocol.Go{Gen: uint32(h.number()), Delay: time.Duration(h.number()%70000) * time.Millisecond}
	case 6:
		s := &protocol.Salt{XF: protocol.Transform(h.byte()), KI: h.byte(), Salt: [16]byte{h.byte(), h.byte(), h.byte(), h.byte(), h.byte()}}
		if s.Lowest, s.Serial = h.number(), h.number(); h.byte()%2 == 0 {
			tag := h.keys.community.SenderTag(p.view.Static()) // of its own
			copy(s.Salt[8:], tag[:])
		}
		m = s
	case 7:
		m = &protocol.About{Name: string(make([]byte, h.byte()%64)), Prefixes: []netip.Prefix{netip.PrefixFrom(h.addr().Addr(), int(h.byte()%33))}}
	case 8:
		m = &protocol.Forward{To: h.static(), Packet: make([]byte, 1+h.number()%1024)}
	case 9:
		m = &protocol.Forwarded{From: h.static(), Packet: make([]byte, 1+h.number()%1024)}
	case 10:
		m = &protocol.Close{Reason: h.byte()}
	case 11:
		m = &protocol.Statement{}
	case 12:
		raw, _ := h.statement()
		m = &protocol.Statement{Signed: raw}
	case 13:
		m = &protocol.HostAsk{Seq: uint32(h.number()), List: []protocol.AskedHost{{MAC: host(h.byte()), Since: time.Duration(h.number()%70000) * time.Millisecond}}}
	case 14:
		m = &protocol.HostIs{Seq: uint32(h.byte()), List: []protocol.HostAnswer{{MAC: host(h.byte()), Known: h.byte()%2 == 0, Since: h.byte()%2 == 0}}}
	default:
		return []byte{h.byte() & 0x7f, 0, 1, h.byte()} // unknown, or of another length
	}
	return m.Append(nil)
}

// move has one of the three do something.
func (h *liar) move(now time.Time) {
	h.moves++
	by := dataplane.Origin{Supernode: h.s.view, Handle: uint32(h.number() % 6)}
	if h.byte()%2 == 0 {
		by = dataplane.Origin{Addr: h.addr()}
	}
	switch h.byte() % 8 {
	case 0:
		raw, mac := h.statement()
		m := protocol.PeerInfo{CID: h.self.cid, MAC: mac, Handle: by.Handle, Statement: raw, Features: uint32(h.number())}
		h.say(now, m.Append(nil))
	case 1:
		raw, _ := h.statement()
		(*networkObserver)(h.Edge).MetOnLAN(now, raw, h.addr())
		h.settle(now)
	case 2:
		psk, _ := h.keys.PSK(now, 7)
		h.handle(now, dataplane.InitReceived{Origin: by, Packet: h.initOf(testIdentity(40+h.byte()%8), 7, psk, now)})
	case 3:
		for _, p := range h.peers.byStatic {
			if p.sessions.next != nil {
				h.handle(now, dataplane.Confirmed{Peer: p.view, Session: p.sessions.next.Crypto(), Origin: by})
				break
			}
		}
	default:
		p := []*peer{h.near, h.far}[h.byte()%2]
		if p.gone || p.sessions.current == nil {
			return
		}
		h.handle(now, dataplane.PairMessages{Peer: p.view, Session: p.sessions.current.Crypto(), Origin: by, Messages: h.message(p), InPieces: h.byte()%2 == 0})
	}
}

// invariant is what holds after whatever anybody says.
type invariant struct {
	name string
	hold func(h *liar, p *peer) bool // of each peer
}

var invariants = []invariant{
	{"a peer that has a route inside a session has that session", func(_ *liar, p *peer) bool {
		to := p.view.Route()
		return to.Session == nil || p.sessions.current != nil && p.sessions.current.Crypto() == to.Session
	}},
	{"of a peer whose INIT is not confirmed nothing is known", func(_ *liar, p *peer) bool {
		return !p.place.unconfirmed || p.sessions.current == nil && !p.identity.bound && p.handles == [maxSupernodes]uint32{} && p.reach.path == nil && p.about.Name == ""
	}},
	{"a hardware address is bound to one peer, which claims it, and is none of ours nor a group's", func(h *liar, p *peer) bool {
		mac := p.view.MAC()
		return !p.identity.bound || h.peers.byMAC[mac] == p && mac == protocol.MAC(p.identity.statement.MAC) && mac != h.self.mac && !mac.IsGroup() && !mac.IsZero()
	}},
	{"a statement is of the peer's static key", func(_ *liar, p *peer) bool {
		return !p.known() || p.identity.statement.Static == p.view.Static()
	}},
	{"no peer has a weak key, or ours", func(h *liar, p *peer) bool {
		return crypto.UsableStatic(p.view.Static()) && p.view.Static() != h.self.identity.Static
	}},
	{"an address that follows from a proven identity is that identity's", func(h *liar, p *peer) bool {
		id := p.identity.statement.ID
		if !p.identity.proven || p.view.MAC() != protocol.MAC(crypto.MACFor(id[:], h.self.cid)) {
			return true
		}
		holder := h.peers.byMAC[p.view.MAC()]
		return holder != nil && holder.identity.statement.ID == id
	}},
	{"whoever was proven is who it was", func(h *liar, p *peer) bool {
		return p != h.near || p.identity.statement.ID == [32]byte(testIdentity(2).ID)
	}},
	{"no frame, probe or INIT goes to an address that must not be probed", func(h *liar, p *peer) bool {
		policy := h.underlay.Addresses.Policy()
		allowed := func(a netip.AddrPort) bool {
			return !a.IsValid() || policy.Probeable(a) || h.paths.introducers.holds(a) || p == h.near && a == netip.MustParseAddrPort("203.0.113.2:4000")
		}
		return allowed(p.view.Route().Direct)
	}},
}

// check fails unless every invariant holds of every peer, the table says what follows
// from the owners, and every table is within its bound.
func (h *liar) check(now time.Time) {
	h.tb.Helper()
	for _, p := range h.peers.byStatic {
		for _, i := range invariants {
			if !i.hold(h, p) {
				h.tb.Errorf("move %d: it does not hold of %v that %s", h.moves, p.LogValue(), i.name)
			}
		}
	}
	if err := verify(h.Edge, now); err != nil {
		h.tb.Errorf("move %d: %v", h.moves, err)
	}
	for _, t := range []struct {
		name      string
		n, atMost int
	}{
		{"peers", len(h.peers.byStatic), 4 + h.moves}, {"unconfirmed", len(h.peers.half), 8}, {"handshakes", len(h.sessions.pending), len(h.peers.byStatic)},
		{"addresses", len(h.peers.byMAC), len(h.peers.byStatic)}, {"views", len(h.peers.byView), 2 * len(h.peers.byStatic)},
		{"pins", len(h.state.saved.Pins), 2}, {"behind introducers", len(h.paths.introducers.byAddr), maxIntroduced},
	} {
		if t.n > t.atMost {
			h.tb.Errorf("move %d: %d %s, at most %d", h.moves, t.n, t.name, t.atMost)
		}
	}
}

// FuzzHostile has a liar member, supernode and LAN make up to thirty moves, 20 ms
// apart, and checks the invariants after each.
func FuzzHostile(f *testing.F) {
	for kind := range byte(8) {
		for what := range byte(14) {
			f.Add([]byte{what, 1, kind, what % 2, 0, what, 3, 7, what, 200, 1, what, 2, 5, kind, 1, 1, what, what + 1, 9, 8, 7, 6, 5, 4, 3, 2, 1})
			f.Add([]byte{1, 1, kind, what, what, what, what, what, 1, 1, 3, 1, 1, 4, 1, 0, 12, what, what, what, 0, 1, 2, what, 0, 0, what, kind, 1})
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 2000 {
			return
		}
		h := &liar{fuzzEdge: newFuzzEdge(t), b: b}
		now := noon
		for h.moves < 30 && len(h.b) > 0 {
			h.move(now)
			h.check(now)
			now = now.Add(20 * time.Millisecond)
			h.pass(now)
			h.conn.take()
		}
		h.pass(now.Add(confirmWithin))
		h.check(now.Add(confirmWithin))
		if len(h.peers.half) != 0 {
			t.Errorf("%d unconfirmed peers are left", len(h.peers.half))
		}
	})
}
