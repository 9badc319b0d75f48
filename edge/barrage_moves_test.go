package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// moves are what a tape can have done, by the first byte of a move: each as often as its
// share says.
var moves = func() (all [256]func(*besieged)) {
	i := 0
	for _, m := range []struct {
		share int
		move  func(*besieged)
	}{
		{64, (*besieged).saysMessage},
		{14, (*besieged).saysMany},
		{10, (*besieged).saysDamaged},
		{8, (*besieged).saysType},
		{10, (*besieged).saysInner},
		{10, (*besieged).saysPiece},
		{24, (*besieged).saysFrame},
		{16, (*besieged).floods},
		{40, (*besieged).hubSays},
		{10, (*besieged).hubSaysMany},
		{6, (*besieged).hubSaysAny},
		{10, (*besieged).hubRelays},
		{6, (*besieged).sendsPacket},
		{6, (*besieged).hostSpeaks},
		{6, (*besieged).waits},
		{5, (*besieged).memberSpeaks},
		{3, (*besieged).hubAcks},
		{2, (*besieged).announces},
		{1, (*besieged).waitsLong},
		{1, (*besieged).meetsAgain},
		{1, (*besieged).initiates},
		{1, (*besieged).newSalt},
		{1, (*besieged).comes},
		{1, (*besieged).resets},
	} {
		for range m.share {
			all[i], i = m.move, i+1
		}
	}
	if i != len(all) {
		panic("the shares of the moves are not 256")
	}
	return all
}()

// who returns a hostile member, and by which path it speaks.
func (b *besieged) who() (m *farMember, direct bool) {
	n := b.tape.Byte()
	m = b.members[[]int{hostileDirect, hostileRelay, hostileDirect, hostileRelay, hostileRelay, hostileDirect, hostileLate, hostileRelay}[n%8]]
	return m, n&8 == 0 && m.direct
}

// body sends control messages of a hostile member, maybe from an address of somebody else.
func (b *besieged) body(m *farMember, direct bool, body []byte) {
	if m.Session == nil || len(body) > 4000 {
		return
	}
	pkt, err := m.Say(adversary.Value{Bytes: body}.Append)
	b.sealed(m, direct, pkt, err)
}

// sealed sends what a member has sealed.
func (b *besieged) sealed(m *farMember, direct bool, pkt []byte, err error) {
	if err != nil || len(pkt) > protocol.MaxDatagram {
		return
	}
	b.authentic, b.sender = b.authentic+1, m
	if !direct || b.tape.Pick(8) != 0 {
		m.send(direct, pkt, nil)
		return
	}
	if from := b.addr(); from.Port() != 0 && from != hubAt {
		b.wire.put(from, pkt)
	}
}

func (b *besieged) saysMessage() {
	m, direct := b.who()
	b.body(m, direct, b.message(m))
}

func (b *besieged) saysMany() {
	m, direct := b.who()
	var body []byte
	for range 2 + b.tape.Pick(8) {
		if next := b.message(m); len(body)+len(next) < 1300 {
			body = append(body, next...)
		}
	}
	b.body(m, direct, body)
}

// damaged changes a few bytes of a message.
func (b *besieged) damaged(body []byte) []byte {
	for range 1 + b.tape.Pick(4) {
		if len(body) == 0 {
			break
		}
		at := int(b.tape.Byte())<<8 | int(b.tape.Byte())
		if b.tape.Pick(3) == 0 {
			body = body[:at%len(body)]
			continue
		}
		body[at%len(body)] ^= 1 + b.tape.Byte()
	}
	return body
}

func (b *besieged) saysDamaged() {
	m, direct := b.who()
	b.body(m, direct, b.damaged(b.message(m)))
}

// any is a message of any type with bytes that are not well formed.
func (b *besieged) anyMessage() []byte {
	typ, value := b.tape.Byte()&0x3f, b.tape.Bytes(int(b.tape.Byte()))
	return append([]byte{typ, byte(len(value) >> 8), byte(len(value))}, value...)
}

func (b *besieged) saysType() {
	m, direct := b.who()
	b.body(m, direct, b.anyMessage())
}

func (b *besieged) inner(m *farMember, direct bool, inner []byte) {
	if m.Session != nil && len(inner) < 1400 {
		pkt, err := m.SayInner(inner)
		b.sealed(m, direct, pkt, err)
	}
}

func (b *besieged) saysInner() {
	m, direct := b.who()
	b.inner(m, direct, append(b.tape.Bytes(int(b.tape.Byte())), make([]byte, b.tape.Pick(100))...))
}

// saysPiece sends pieces of an inner, some of which may be missing.
func (b *besieged) saysPiece() {
	m, direct := b.who()
	if b.tape.Pick(3) == 0 {
		b.inner(m, direct, append([]byte{byte(protocol.KindFragment) << 6, b.tape.Byte()}, b.tape.Bytes(60)...))
		return
	}
	whole := append([]byte{b.tape.Byte() & 0xc0}, b.message(m)...)
	if b.tape.Pick(2) == 0 {
		whole = append([]byte{0}, b.frame(m)...)
	}
	count := 2 + b.tape.Pick(3)
	for i := range count {
		if b.tape.Pick(8) != 0 && len(whole) < 4000 {
			b.inner(m, direct, protocol.AppendPiece(nil, whole, i, count))
		}
	}
}

func (b *besieged) saysFrame() {
	m, direct := b.who()
	f := b.frame(m)
	switch {
	case m.Session == nil || len(f) > 1300:
	case b.tape.Pick(3) == 0:
		pkt, err := m.SayFrame(f)
		b.sealed(m, direct, pkt, err)
	default:
		b.inner(m, direct, append([]byte{b.tape.Byte() & 0x7f & (b.tape.Byte() | 0x0f)}, f...))
	}
}

// floods sends a GROUP packet, in a salt that was vouched for or not.
func (b *besieged) floods() {
	m, direct := b.who()
	if m.Group == nil {
		return
	}
	inner := append([]byte{0}, b.frame(m)...)
	if b.tape.Pick(4) == 0 {
		inner = append([]byte{b.tape.Byte()}, b.message(m)...)
	}
	if len(inner) < 1300 {
		pkt, err := m.FloodInner(inner)
		b.sealed(m, direct, pkt, err)
	}
}

// hubBody sends control messages of the supernode.
func (b *besieged) hubBody(body []byte) {
	if b.hub.Session == nil || len(body) > 1400 {
		return
	}
	b.authentic++
	b.hub.tell(adversary.Value{Bytes: body}.Append)
}

func (b *besieged) hubMessage() []byte {
	return hopMessages[b.tape.Pick(len(hopMessages))](b).Append(nil)
}

func (b *besieged) hubSays() { b.hubBody(b.hubMessage()) }

func (b *besieged) hubSaysMany() {
	var body []byte
	for range 2 + b.tape.Pick(8) {
		if next := b.hubMessage(); len(body)+len(next) < 1300 {
			body = append(body, next...)
		}
	}
	if b.tape.Pick(4) == 0 {
		body = b.damaged(body)
	}
	b.hubBody(body)
}

func (b *besieged) hubSaysAny() {
	if b.tape.Pick(2) == 0 {
		b.hubBody(b.anyMessage())
		return
	}
	if b.hub.Session != nil {
		b.authentic++
		b.hub.write(b.hub.SayInner(b.tape.Bytes(int(b.tape.Byte()))))
	}
}

// hubRelays sends what a hostile member says, or any bytes, by any handle.
func (b *besieged) hubRelays() {
	if b.hub.Session == nil {
		return
	}
	handle, pkt := b.handleOf(), append(b.tape.Bytes(int(b.tape.Byte())), make([]byte, 32)...)
	if m, _ := b.who(); m.Session != nil && b.tape.Pick(2) == 0 {
		said, err := m.Say(adversary.Value{Bytes: b.message(m)}.Append)
		if err != nil || len(said) > 1400 {
			return
		}
		pkt = said
	}
	b.authentic++
	b.hub.carry(handle, pkt)
}

// sendsPacket sends a packet of any header, which does not authenticate.
func (b *besieged) sendsPacket() {
	m, direct := b.who()
	h := protocol.Header{Type: protocol.Type(b.tape.Byte() & 31), XF: protocol.Transform(b.tape.Byte()), KI: b.tape.Byte()}
	if m.Session != nil && b.tape.Pick(2) == 0 {
		h.RX = m.Session.RemoteIndex()
	}
	rest := append(b.tape.Bytes(int(b.tape.Byte())), make([]byte, 16+b.tape.Number()%200)...)
	if b.tape.Pick(2) == 0 && b.hub.Session != nil {
		h.RX = b.hub.Session.RemoteIndex()
		b.hub.write(b.hub.Packet(h, rest), nil)
		return
	}
	m.send(direct, m.Packet(h, rest), nil)
}

// hostSpeaks has the edge's host send a frame.
func (b *besieged) hostSpeaks() {
	f := b.frame(b.members[hostileDirect])
	if b.tape.Pick(2) == 0 {
		copy(f[6:], b.self.mac[:])
	}
	b.host.waiting = append(b.host.waiting, f)
}

func (b *besieged) memberSpeaks() {
	m := b.members[b.tape.Pick(besiegers)]
	m.speak()
	if m.Session != nil {
		b.authentic++
	}
}

func (b *besieged) waits() {
	b.elapse(time.Duration(b.tape.Byte()) * time.Millisecond)
}

func (b *besieged) waitsLong() {
	b.elapse(time.Duration(1+b.tape.Byte()%64) * 100 * time.Millisecond)
}

// hubAcks has the supernode answer REGISTERs otherwise from now on, or rightly again.
func (b *besieged) hubAcks() {
	b.hub.ack = nil
	if b.tape.Pick(2) == 0 {
		b.hub.ack = b.theAck()
	}
}

// meetsAgain has a hostile member make another session.
func (b *besieged) meetsAgain() {
	if b.tape.Pick(8) != 0 {
		b.saysMessage()
		return
	}
	m, direct := b.who()
	if m == b.members[hostileDirect] && !b.leaf {
		m.Payload.Features = []uint32{0, protocol.FeatureBridge, 1<<32 - 1, protocol.FeatureBridge | protocol.FeatureRoutes}[b.tape.Pick(4)]
	}
	pkt, err := m.Initiate()
	m.send(direct, pkt, err)
}

// initiates sends an INIT of an identity that may be new, with any payload.
func (b *besieged) initiates() {
	if b.tape.Pick(8) != 0 { // handshakes take a hundred times as long as other packets
		b.saysMessage()
		return
	}
	m := adversary.NewMember(adversary.MemberConfig{
		Surroundings: adversary.Surroundings{Rand: b.random, Now: time.Now}, Community: b.keys.community, Epoch: b.keys.community.Epochs[0],
		Identity: besieger(10 + b.tape.Byte()%64), Peer: b.self.identity.Static, Index: 1 << 24,
	})
	var pkt []byte
	var err error
	if b.tape.Pick(2) == 0 {
		pkt, err = m.Initiate()
	} else {
		var payload [protocol.InitPayloadLen]byte
		copy(payload[:], b.tape.Bytes(len(payload)))
		pkt, err = m.InitiateWith(payload)
	}
	far, direct := b.who()
	far.send(direct, pkt, err)
}

func (b *besieged) newSalt() {
	m, _ := b.who()
	_ = m.NewGroup(time.Now().Add(time.Duration(int8(b.tape.Byte())) * 10 * time.Second))
}

// comes has the member come that was away.
func (b *besieged) comes() { b.members[hostileLate].meet() }

// announces has somebody on the LAN announce a statement.
func (b *besieged) announces() {
	raw, _ := b.statement()
	if from := b.addr(); from.IsValid() {
		(*networkObserver)(b.Edge).MetOnLAN(time.Now(), raw, from)
		b.settle(time.Now())
	}
}

// resets sends a RESET, which proves itself or not.
func (b *besieged) resets() {
	if b.hub.Session == nil {
		return
	}
	h := protocol.Header{Type: protocol.TypeReset, XF: protocol.XFHop, KI: protocol.KINone, RX: b.hub.Session.LocalIndex()}
	token := testToken
	if b.tape.Pick(2) == 0 {
		copy(token[:], b.tape.Bytes(len(token)))
	}
	b.hub.write(b.hub.Packet(h, token[:]), nil)
}

// invariant is what holds after whatever anybody says.
type invariant struct {
	name string
	hold func(b *besieged, p *peer) bool // of each peer
}

var invariants = []invariant{
	{"a peer that has a route inside a session has that session", func(_ *besieged, p *peer) bool {
		to := p.view.Route()
		return to.Session == nil || p.sessions.current != nil && p.sessions.current.Crypto() == to.Session
	}},
	{"of a peer whose INIT is not confirmed nothing is known", func(_ *besieged, p *peer) bool {
		return !p.place.unconfirmed || p.sessions.current == nil && !p.identity.bound && p.handles == [maxSupernodes]uint32{} && p.reach.path == nil && p.about.Name == ""
	}},
	{"a hardware address is bound to one peer, which claims it, and is none of ours nor a group's", func(b *besieged, p *peer) bool {
		mac := p.view.MAC()
		return !p.identity.bound || b.peers.byMAC[mac] == p && mac == protocol.MAC(p.identity.statement.MAC) && mac != b.self.mac && !mac.IsGroup() && !mac.IsZero()
	}},
	{"a statement is of the peer's static key", func(_ *besieged, p *peer) bool {
		return !p.known() || p.identity.statement.Static == p.view.Static()
	}},
	{"no peer has a weak key, or ours", func(b *besieged, p *peer) bool {
		return crypto.UsableStatic(p.view.Static()) && p.view.Static() != b.self.identity.Static
	}},
	{"an address that follows from a proven identity is that identity's", func(b *besieged, p *peer) bool {
		id := p.identity.statement.ID
		if !p.identity.proven || p.view.MAC() != protocol.MAC(crypto.MACFor(id[:], b.self.cid)) {
			return true
		}
		holder := b.peers.byMAC[p.view.MAC()]
		return holder != nil && holder.identity.statement.ID == id
	}},
	{"who was proven is who it was", func(b *besieged, p *peer) bool {
		honest := b.members[honestDirect].Identity()
		return p.view.Static() != honest.Static || p.identity.statement.ID == [32]byte(honest.ID)
	}},
	{"the honest member's path is the direct one to its address", func(b *besieged, p *peer) bool {
		m := b.members[honestDirect]
		return p.view.Static() != m.Identity().Static || p.view.Route().Direct == m.addr
	}},
	{"no frame, probe or INIT goes to an address that must not be probed", func(b *besieged, p *peer) bool {
		a := p.view.Route().Direct
		return !a.IsValid() || b.underlay.Addresses.Policy().Probeable(a) || b.paths.introducers.holds(a)
	}},
}
