package edge

import (
	"net/netip"
	"time"

	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// farMember is a member around a besieged edge. It answers as it should whatever it is
// asked, and says besides what a tape says.
type farMember struct {
	*adversary.Member
	edge    *besieged
	name    string
	addr    netip.AddrPort
	number  uint32
	direct  bool // it can be reached at its address
	spoke   time.Time
	renewed time.Time // when it last made a session since it had none
	frames  int       // that it got

	// What it heard last, for answers that fit.
	ping [8]byte
	call uint32
	ask  uint32
}

func newFarMember(b *besieged, around adversary.Surroundings, i int) *farMember {
	m := &farMember{
		edge: b, name: [...]string{"direct", "relayed", "honest", "late"}[i], addr: netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, 1, 0, byte(i)}), 6000), number: uint32(i + 1), direct: i != hostileRelay,
		Member: adversary.NewMember(adversary.MemberConfig{
			Surroundings: around, Community: b.keys.community, Epoch: b.keys.community.Epochs[0], Identity: besieger(byte(memberIdentity + i)),
			Peer: b.self.identity.Static, Index: uint32(i+1) << 16,
		}),
	}
	if err := m.NewGroup(time.Now()); err != nil {
		b.tb.Fatal(err)
	}
	if i == hostileDirect && !b.leaf { // a hub that is a bridge may speak for any host
		m.Payload.Features = protocol.FeatureBridge
	}
	if i != honestDirect {
		m.Payload.Features |= protocol.FeatureRoutes
	}
	return m
}

// send sends a packet that could be made.
func (m *farMember) send(direct bool, pkt []byte, err error) {
	switch {
	case err != nil:
	case direct:
		m.edge.wire.put(m.addr, pkt)
	default:
		m.edge.hub.carry(m.number, pkt)
	}
}

// say sends control messages in the session.
func (m *farMember) say(direct bool, messages ...adversary.Message) {
	if m.Session != nil {
		pkt, err := m.Say(messages...)
		m.send(direct, pkt, err)
	}
}

// meet has the supernode tell of it, and makes a session.
func (m *farMember) meet() {
	info := m.info()
	m.edge.hub.tell(info.Append)
	if !m.Busy() {
		pkt, err := m.Initiate()
		m.send(false, pkt, err)
	}
}

// info is what the supernode tells of it.
func (m *farMember) info() protocol.PeerInfo {
	return protocol.PeerInfo{CID: m.edge.self.cid, MAC: m.MAC, Handle: m.number, Statement: m.Statement, Prefix: m.lease()}
}

// lease is its overlay address.
func (m *farMember) lease() netip.Prefix {
	return netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64, 0, byte(10 + m.number)}), 24)
}

// speak sends a frame.
func (m *farMember) speak() {
	if m.Session == nil {
		return
	}
	if m.spoke = time.Now(); m == m.edge.members[honestDirect] {
		m.edge.spoken++
	}
	pkt, err := m.SayFrame(ethernet(m.edge.self.mac, m.MAC, 0x88b5, 50))
	m.send(m.direct, pkt, err)
}

// handle takes a packet of the edge.
func (m *farMember) handle(pkt []byte, direct bool) {
	got, err := heardOf(m.edge, pkt, m.Member.Handle)
	if err != nil {
		return
	}
	if got.Reply != nil {
		m.send(direct, got.Reply, nil)
	}
	if got.Began {
		m.introduce(direct)
	}
	if len(got.Inner) == 0 {
		return
	}
	if protocol.Kind(got.Inner[0]>>6) == protocol.KindFrame || protocol.Kind(got.Inner[0]>>6) == protocol.KindElided {
		m.frames++
	}
	adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) { m.hear(typ, value, direct) })
}

// introduce says what every session begins with.
func (m *farMember) introduce(direct bool) {
	var at netip.AddrPort
	if m.direct {
		at = m.addr
	}
	m.say(direct, m.Introduction(m.name, at)...)
}

// hear notes what it is asked, and answers pings.
func (m *farMember) hear(typ protocol.MsgType, value []byte, direct bool) {
	switch typ {
	case protocol.MsgPing:
		ping, err := protocol.ParsePing(value)
		if err != nil {
			return
		}
		m.ping = ping.Nonce
		var seen netip.AddrPort
		if direct {
			seen = besiegedAt
		}
		answer := ping.Pong(seen)
		answer.Highest, answer.Received = m.Session.Received()
		m.say(direct, answer.Append)
	case protocol.MsgCall:
		if c, err := protocol.ParseCall(value); err == nil {
			m.call = c.Sent
		}
	case protocol.MsgHostAsk:
		if a, err := protocol.ParseHostAsk(value); err == nil {
			m.ask = a.Seq
		}
	}
}

// farSupernode is the supernode of a besieged edge.
type farSupernode struct {
	*adversary.Supernode
	edge *besieged
	ping [8]byte
	ack  *protocol.Ack // what a REGISTER is answered with; nil: what is right
}

// write sends a packet that could be made.
func (h *farSupernode) write(pkt []byte, err error) {
	if err == nil {
		h.edge.wire.put(hubAt, pkt)
	}
}

// tell sends control messages.
func (h *farSupernode) tell(messages ...adversary.Message) {
	if h.Session != nil {
		h.write(h.Say(messages...))
	}
}

// carry relays a packet that is masked.
func (h *farSupernode) carry(from uint32, pkt []byte) {
	if h.Session != nil {
		h.write(h.Relay(from, 0, append([]byte(nil), pkt...)))
	}
}

// handle takes a packet of the edge.
func (h *farSupernode) handle(pkt []byte) {
	got, err := heardOf(h.edge, pkt, h.Supernode.Handle)
	switch {
	case err != nil:
	case got.Reply != nil:
		h.write(got.Reply, nil)
	case got.Inner != nil:
		adversary.Messages(got.Inner, h.hear)
	case got.Packet != nil && got.Handle >= 1 && got.Handle <= besiegers:
		h.edge.members[got.Handle-1].handle(got.Packet, false)
	}
}

// hear answers what it should.
func (h *farSupernode) hear(typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgPing:
		if m, err := protocol.ParsePing(value); err == nil {
			h.ping = m.Nonce
			answer := m.Pong(besiegedAt)
			h.tell(answer.Append)
		}
	case protocol.MsgRegister:
		right := ack(besiegers)
		right.Seen = besiegedAt
		if h.ack != nil {
			right = *h.ack
		}
		h.tell(right.Append)
	case protocol.MsgQuery:
		q, err := protocol.ParseQuery(value)
		if err != nil {
			return
		}
		for _, m := range h.edge.members {
			if q.Handle == m.number || q.Handle == 0 && q.MAC == m.MAC {
				info := m.info()
				h.tell(info.Append)
			}
		}
	}
}

// heardOf has an end take a packet of the edge. What it takes for a handshake is not held
// against the edge.
func heardOf(b *besieged, pkt []byte, handle func([]byte) (adversary.Heard, error)) (got adversary.Heard, err error) {
	if n := len(pkt); n != protocol.InitLen && n != protocol.RespLen {
		return handle(pkt)
	}
	b.tape.Others(func() { got, err = handle(pkt) })
	return got, err
}
