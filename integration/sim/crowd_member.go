package sim

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// crowdMember is a member of a crowd. It does what an edge would do for the one
// that is under test, and answers what it is asked.
type crowdMember struct {
	crowd      *Crowd
	number     int
	identity   *crypto.Identity
	statement  []byte
	mac        protocol.MAC
	here       bool // it has come
	direct     bool // it can be reached at its address
	group      *crypto.GroupSender
	initiation *crypto.Initiation // nil: none is under way
	challenge  [16]byte
	cookie     *[16]byte
	inits      int
	index      uint32
	begun      time.Time       // when the last INIT left
	session    *crypto.Session // sealed under; nil: none
	old, next  *crypto.Session // the one before, and one that the edge has yet to confirm
	work       []byte
}

func newCrowdMember(c *Crowd, number int) *crowdMember {
	m := &crowdMember{crowd: c, number: number, identity: c.world.identity(), work: make([]byte, 0, 2048)}
	cid := c.community.ID()
	m.mac = m.identity.MAC(cid)
	m.statement = m.identity.SignStatement(crypto.Statement{CID: cid, MAC: m.mac, Seq: 1, Expiry: 1 << 40})
	return m
}

// handleNumber is the handle that the supernode knows it by.
func (m *crowdMember) handleNumber() uint32 { return uint32(m.number + 1) }

// addr is where it can be reached, if it can.
func (m *crowdMember) addr() netip.AddrPort {
	b := [4]byte{11, 1}
	binary.BigEndian.PutUint16(b[2:], uint16(m.number))
	return netip.AddrPortFrom(netip.AddrFrom4(b), 6000)
}

func (m *crowdMember) info() protocol.PeerInfo {
	return protocol.PeerInfo{CID: m.crowd.community.ID(), MAC: m.mac, Handle: m.handleNumber(), Statement: m.statement}
}

// arrive has it come, and ask for somebody by broadcast, as a host does that looks
// for a hardware address: three times, a second apart.
func (m *crowdMember) arrive() {
	m.here = true
	m.newGroup()
	m.broadcast()
	m.crowd.after(time.Second, m.broadcast)
	m.crowd.after(2*time.Second, m.broadcast)
}

// newGroup makes the key of its broadcasts.
func (m *crowdMember) newGroup() {
	g, err := crypto.NewGroupSender(m.crowd.community, m.crowd.community.Epochs[0], uint8(protocol.XFGroupGCM), time.Now(), m.crowd.world.random())
	if err != nil {
		m.crowd.tb.Error(err)
		return
	}
	m.group = g
}

// come has the supernode tell the edge of it.
func (m *crowdMember) come() {
	m.here = true
	m.crowd.hub.tellOf(m.number)
}

// meet has it come and make a session, without a frame.
func (m *crowdMember) meet() {
	m.come()
	m.newGroup()
	m.initiate()
}

// bye ends the session.
func (m *crowdMember) bye() {
	if m.session != nil {
		m.say(false, (&protocol.Close{}).Append)
		m.session, m.old, m.next = nil, nil, nil
	}
}

// frame is one that says whose it is.
func (m *crowdMember) frame(dst protocol.MAC) []byte {
	return Frame(dst, m.mac, binary.BigEndian.AppendUint32(nil, uint32(m.number)))
}

// broadcast floods a frame; only the edge's copy is made.
func (m *crowdMember) broadcast() {
	ctr, err := m.group.Reserve(1)
	if err != nil {
		m.crowd.tb.Error(err)
		return
	}
	f := m.frame(protocol.Broadcast)
	buf := append(m.work[:64], f...)
	start := protocol.EncodeFrame(buf, 64, len(f), false)
	head := start - protocol.HeaderLen - protocol.SaltLen
	pkt := buf[head:]
	protocol.Header{
		Type: protocol.TypeGroup, XF: protocol.Transform(m.group.XF()), KI: m.group.KI(), RX: m.crowd.community.Tag(), CTR: ctr,
	}.Put(pkt)
	m.send(m.group.Seal(m.crowd.scratch, pkt), false)
}

// send masks a packet for the edge and sends it, directly or by the supernode.
func (m *crowdMember) send(pkt []byte, direct bool) {
	m.crowd.masks.pairs.Hide(m.crowd.scratch, pkt)
	if direct {
		m.crowd.socket.in.put(m.addr(), pkt)
	} else {
		m.crowd.hub.relay(m.handleNumber(), pkt)
	}
}

func (m *crowdMember) handshake() crypto.HandshakeConfig {
	return crypto.HandshakeConfig{Local: m.identity, CID: m.crowd.community.ID(), PSK: m.crowd.psk, Rand: m.crowd.world.random()}
}

// initiate begins a handshake unless there is a session, and repeats it as an edge
// does.
func (m *crowdMember) initiate() {
	if m.session != nil || m.next != nil || m.inits > 12 {
		return
	}
	m.sendInit()
	wait := 5 * time.Second
	if m.inits <= 3 {
		wait = time.Second << (m.inits - 1)
	}
	m.crowd.after(wait, m.initiate)
}

func (m *crowdMember) sendInit() {
	m.inits++
	m.begun = time.Now()
	m.index = uint32(m.number)<<8 | uint32(m.inits)
	var hdr [16]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFPair, KI: 0, RX: m.index}.Put(hdr[:])
	payload := protocol.InitPayload{
		Stamp: uint64(time.Now().UnixNano()), VMin: 1, VMax: 1, MAC: m.mac, MTU: 1370, Challenge: m.challenge,
	}
	var plain [48]byte
	payload.Put(&plain)
	i, pkt, err := crypto.Initiate(m.handshake(), m.crowd.identity.Static, hdr, plain, m.cookie)
	if err != nil {
		m.crowd.tb.Error(err)
		return
	}
	m.initiation = i
	m.send(pkt, false)
}

// handle takes a packet of the edge.
func (m *crowdMember) handle(pkt []byte, direct bool) {
	if !m.here || !m.crowd.masks.pairs.Show(m.crowd.scratch, pkt) {
		return
	}
	h, err := protocol.ParseHeader(pkt)
	if err != nil {
		return
	}
	switch h.Type {
	case protocol.TypeInit:
		m.answerInit(h, pkt, direct)
	case protocol.TypeResp:
		m.finish(h, pkt, direct)
	case protocol.TypeCookie:
		if m.initiation == nil || h.RX != m.index {
			return
		}
		if cookie, err := m.initiation.OpenCookie(pkt); err == nil && m.cookie == nil {
			m.cookie = &cookie
			m.sendInit()
		}
	case protocol.TypeData:
		m.open(h, pkt, direct)
	}
}

// open opens a packet of any of the sessions. The first in one that was answered
// confirms it.
func (m *crowdMember) open(h protocol.Header, pkt []byte, direct bool) {
	for _, s := range []*crypto.Session{m.session, m.next, m.old} {
		if s == nil || h.RX != s.LocalIndex() {
			continue
		}
		inner, err := s.Open(m.crowd.scratch, pkt)
		if err != nil {
			return
		}
		if s == m.next {
			m.old, m.session, m.next, m.initiation = m.session, s, nil, nil
			m.introduce(direct)
		}
		m.handleInner(inner, direct)
		return
	}
}

// answerInit answers an INIT, unless its own wins: that of the lower key does when
// two cross.
func (m *crowdMember) answerInit(h protocol.Header, pkt []byte, direct bool) {
	mine, theirs := m.identity.Static, m.crowd.identity.Static
	if m.initiation != nil && time.Since(m.begun) < time.Second && bytes.Compare(mine[:], theirs[:]) < 0 {
		return
	}
	reply, err := crypto.ReadInit(m.handshake(), pkt)
	if err != nil {
		m.crowd.tb.Errorf("member %d: %v", m.number, err)
		return
	}
	m.inits++
	index := uint32(m.number)<<8 | uint32(m.inits)
	var plain [32]byte
	answer := protocol.RespPayload{Version: protocol.Version, MTU: 1370, MAC: m.mac}
	answer.Put(&plain)
	var hdr [16]byte
	protocol.Header{Type: protocol.TypeResp, XF: protocol.XFPair, KI: h.KI, RX: h.RX, CTR: uint64(index) << 32}.Put(hdr[:])
	resp, keys, err := reply.Write(hdr, plain)
	if err != nil {
		m.crowd.tb.Error(err)
		return
	}
	m.next = m.newSession(keys, index, h.RX, false)
	m.send(resp, direct)
}

func (m *crowdMember) finish(h protocol.Header, pkt []byte, direct bool) {
	if m.initiation == nil || h.RX != m.index {
		return
	}
	plain, keys, err := m.initiation.Finish(pkt)
	if err != nil {
		m.crowd.tb.Errorf("member %d: %v", m.number, err)
		return
	}
	p, err := protocol.ParseRespPayload(plain[:])
	if err != nil {
		m.crowd.tb.Errorf("member %d: %v", m.number, err)
		return
	}
	if p.Flags&protocol.RespChallenge != 0 {
		m.challenge = p.Challenge
		m.sendInit()
		return
	}
	m.old, m.session, m.initiation = m.session, m.newSession(keys, m.index, uint32(h.CTR>>32), true), nil
	m.introduce(direct)
}

// newSession makes the session of a handshake.
func (m *crowdMember) newSession(keys crypto.SplitKeys, local, remote uint32, initiator bool) *crypto.Session {
	xf := protocol.XFDataGCM
	if !crypto.HardwareAES() {
		xf = protocol.XFDataChaCha
	}
	s, err := crypto.NewSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(xf), KI: 0, Local: local, Remote: remote, Static: m.crowd.identity.Static, Created: time.Now(), Initiator: initiator,
	})
	if err != nil {
		panic("sim: " + err.Error()) // the transform is one of a pair
	}
	return s
}

// introduce says what every session begins with.
func (m *crowdMember) introduce(direct bool) {
	salt := protocol.Salt{XF: protocol.Transform(m.group.XF()), KI: m.group.KI(), Salt: m.group.Salt()}
	about := protocol.About{Name: m.name()}
	statement := protocol.Statement{Signed: m.statement}
	messages := []func([]byte) []byte{salt.Append, statement.Append, about.Append}
	if m.direct {
		c := protocol.Candidates{Gen: 1, List: []protocol.Candidate{{Kind: 1, Addr: m.addr()}}}
		messages = append(messages, c.Append)
	}
	m.say(direct, messages...)
}

// say sends control messages in the session.
func (m *crowdMember) say(direct bool, messages ...func([]byte) []byte) {
	pkt := protocol.AppendControl(m.work[:protocol.HeaderLen])
	for _, f := range messages {
		pkt = f(pkt)
	}
	m.seal(pkt, direct)
}

// seal sends an inner behind room for a header.
func (m *crowdMember) seal(pkt []byte, direct bool) {
	ctr, err := m.session.Reserve(1)
	if err != nil {
		m.crowd.tb.Error(err)
		return
	}
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.Transform(m.session.XF()), KI: m.session.KI(), RX: m.session.RemoteIndex(), CTR: ctr,
	}.Put(pkt)
	m.send(m.session.Seal(m.crowd.scratch, pkt), direct)
}

// speak sends the edge a frame, if there is a session.
func (m *crowdMember) speak() {
	if m.session == nil {
		return
	}
	f := m.frame(m.crowd.MAC)
	buf := append(m.work[:64], f...)
	start := protocol.EncodeFrame(buf, 64, len(f), true)
	m.seal(buf[start-protocol.HeaderLen:], m.direct)
}

func (m *crowdMember) handleInner(inner []byte, direct bool) {
	in, err := protocol.ParseInner(inner)
	if err != nil {
		return
	}
	if in.Kind == protocol.KindFrame {
		m.crowd.answered[m.number].Add(1)
		return
	}
	if in.Kind != protocol.KindControl {
		return
	}
	for rest := in.Body; len(rest) > 0; {
		var typ uint8
		var value []byte
		if typ, value, rest, err = protocol.NextTLV(rest); err != nil {
			return
		}
		if protocol.MsgType(typ) == protocol.MsgPing {
			m.pong(bytes.Clone(value), direct)
		}
	}
}

func (m *crowdMember) pong(value []byte, direct bool) {
	ping, err := protocol.ParsePing(value)
	if err != nil {
		return
	}
	var seen netip.AddrPort
	if direct {
		seen = crowdEdgeAddr
	}
	highest, received := m.session.Received()
	answer := protocol.Pong{Nonce: ping.Nonce, Seen: seen, Highest: highest, Received: received, Pad: max(0, protocol.PongRoom(ping, seen))}
	m.say(direct, answer.Append)
}
