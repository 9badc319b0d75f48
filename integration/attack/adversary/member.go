package adversary

import (
	"bytes"
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Errors of sealing.
var (
	// errNoSession: an end without a session wants to seal.
	errNoSession = errors.New("adversary: no session")
	// errLength: no packet has this length.
	errLength = errors.New("adversary: no packet has this length")
)

// MemberConfig says who a member is, what it knows and with which edge it talks.
type MemberConfig struct {
	Surroundings
	Community *crypto.Community
	Epoch     crypto.Epoch // of its handshakes and floods
	Identity  *crypto.Identity
	Peer      [32]byte // static key of the edge
	Index     uint32   // of its first session; the next ones count on
}

// Member is one end of pair handshakes and sessions with one edge. It keeps the
// rules as far as a call does not say otherwise.
type Member struct {
	initiator
	cfg     MemberConfig
	mask    *crypto.Mask
	scratch *crypto.Scratch
	work    []byte
	cid     [16]byte // of the community

	MAC       protocol.MAC
	Statement []byte              // what it says of itself
	Group     *crypto.GroupSender // nil until NewGroup
	Session   *crypto.Session     // sealed under; nil: none

	old, next *crypto.Session // the one before, and one that the edge has yet to confirm
	answered  uint32          // index of the last INIT that was answered
	begun     time.Time       // when the last INIT was made
}

// NewMember returns a member without a session.
func NewMember(cfg MemberConfig) *Member {
	cid := cfg.Community.ID()
	m := &Member{
		cfg: cfg, mask: crypto.NewMask(cfg.Community.MaskKey()), scratch: crypto.NewScratch(), work: make([]byte, 0, 4096),
		MAC: cfg.Identity.MAC(cid), cid: cid,
	}
	m.index = cfg.Index
	m.Statement = cfg.Identity.SignStatement(crypto.Statement{CID: cid, MAC: m.MAC, Seq: 1, Expiry: 1 << 40})
	m.Payload = protocol.InitPayload{VMin: protocol.Version, VMax: protocol.Version, MAC: m.MAC, MTU: 1370}
	return m
}

// Identity returns who the member is.
func (m *Member) Identity() *crypto.Identity { return m.cfg.Identity }

// SetEpoch has the next handshakes and floods be under an epoch, whose key may be a
// wrong one.
func (m *Member) SetEpoch(e crypto.Epoch) { m.cfg.Epoch = e }

// Forget lets go of every session and handshake.
func (m *Member) Forget() { m.Session, m.old, m.next, m.initiation = nil, nil, nil, nil }

// Busy reports whether there is a session, or one that waits to be confirmed.
func (m *Member) Busy() bool { return m.Session != nil || m.next != nil }

// NewGroup makes the key of its floods, with a salt of a time.
func (m *Member) NewGroup(at time.Time) (err error) {
	m.Group, err = crypto.NewGroupSender(crypto.GroupConfig{
		Community: m.cfg.Community, Epoch: m.cfg.Epoch, XF: uint8(protocol.XFGroupGCM), Static: m.cfg.Identity.Static,
		Serial: uint64(m.cfg.Now().UnixMilli()), Now: at, Random: m.cfg.Rand,
	})
	return err
}

// Salt is the SALT message of its floods.
func (m *Member) Salt() protocol.Salt {
	v := m.Group.Vouch()
	return protocol.Salt{XF: protocol.Transform(v.XF), KI: v.KI, Salt: v.Salt, Lowest: v.Lowest, Serial: v.Serial}
}

func (m *Member) handshake() crypto.HandshakeConfig {
	return crypto.HandshakeConfig{
		Local: m.cfg.Identity, CID: m.cid, PSK: m.cfg.Community.PairPSK(m.cfg.Epoch), Rand: m.cfg.Rand,
	}
}

// hide masks a packet.
func (m *Member) hide(pkt []byte) []byte {
	m.mask.Hide(m.scratch, pkt)
	return pkt
}

// Initiate returns an INIT.
func (m *Member) Initiate() ([]byte, error) {
	m.begun = m.cfg.Now()
	return m.InitiateWith(m.another(m.begun))
}

// InitiateWith returns an INIT with a payload of any bytes.
func (m *Member) InitiateWith(plain [protocol.InitPayloadLen]byte) ([]byte, error) {
	pkt, err := m.initiate(m.handshake(), m.cfg.Peer, protocol.Header{XF: protocol.XFPair, KI: m.cfg.Epoch.Index}, plain)
	if err != nil {
		return nil, err
	}
	return m.hide(pkt), nil
}

// Handle takes a packet of the edge and returns what it is, and what an honest end
// answers. Bytes that are not for it are a Heard with nothing in it.
func (m *Member) Handle(pkt []byte) (got Heard, err error) {
	if !m.mask.Show(m.scratch, pkt) {
		return got, nil
	}
	if got.Header, err = protocol.ParseHeader(pkt); err != nil {
		return got, nil
	}
	switch got.Header.Type {
	case protocol.TypeInit:
		err = m.answer(&got, pkt)
	case protocol.TypeResp:
		if m.awaits(got.Header) {
			err = m.conclude(&got, pkt)
		}
	case protocol.TypeCookie:
		if m.awaits(got.Header) && m.keep(pkt) {
			got.Reply, err = m.Initiate()
		}
	case protocol.TypeData:
		m.open(&got, pkt)
	}
	return got, err
}

// open opens a packet of any of the sessions. The first in one that was answered
// confirms it.
func (m *Member) open(got *Heard, pkt []byte) {
	for _, s := range []*crypto.Session{m.Session, m.next, m.old} {
		if s == nil || got.Header.RX != s.LocalIndex() {
			continue
		}
		inner, err := s.Open(m.scratch, pkt)
		if err != nil {
			return
		}
		if s == m.next {
			m.old, m.Session, m.next, m.initiation = m.Session, s, nil, nil
			got.Began = true
		}
		got.Inner = inner
		return
	}
}

// answer answers an INIT, unless its own wins: that of the lower key does when two
// cross.
func (m *Member) answer(got *Heard, pkt []byte) error {
	mine := m.cfg.Identity.Static
	if m.initiation != nil && m.cfg.Now().Sub(m.begun) < time.Second && bytes.Compare(mine[:], m.cfg.Peer[:]) < 0 {
		return nil
	}
	if got.Header.RX == m.answered {
		return nil // it came by two paths
	}
	reply, err := crypto.ReadInit(m.handshake(), pkt)
	if err != nil {
		return err
	}
	m.answered = got.Header.RX
	m.index++
	var plain [protocol.RespPayloadLen]byte
	payload := protocol.RespPayload{Version: protocol.Version, MTU: 1370, MAC: m.MAC}
	payload.Put(&plain)
	var hdr [protocol.HeaderLen]byte
	h := got.Header
	protocol.Header{Type: protocol.TypeResp, XF: protocol.XFPair, KI: h.KI, RX: h.RX, CTR: uint64(m.index) << 32}.Put(hdr[:])
	resp, keys, err := reply.Write(hdr, plain)
	if err != nil {
		return err
	}
	if m.next, err = m.newSession(keys, m.index, h.RX, false); err == nil {
		got.Reply = m.hide(resp)
	}
	return err
}

// conclude begins the session of a RESP, or the handshake anew.
func (m *Member) conclude(got *Heard, pkt []byte) error {
	keys, again, err := m.finish(pkt)
	if again {
		got.Reply, err = m.Initiate()
	}
	if again || err != nil {
		return err
	}
	m.old = m.Session
	m.Session, err = m.newSession(keys, m.index, uint32(got.Header.CTR>>32), true)
	got.Began = err == nil
	return err
}

// newSession makes the session of a handshake.
func (m *Member) newSession(keys crypto.SplitKeys, local, remote uint32, initiator bool) (*crypto.Session, error) {
	xf := protocol.XFDataGCM
	if !crypto.HardwareAES() {
		xf = protocol.XFDataChaCha
	}
	return crypto.NewSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(xf), KI: m.cfg.Epoch.Index, Local: local, Remote: remote, Static: m.cfg.Peer, Created: m.cfg.Now(), Initiator: initiator,
	})
}

// Introduction is what every session begins with: the salt of its floods, its statement, its
// name, and where it can be reached; at is zero if it cannot.
func (m *Member) Introduction(name string, at netip.AddrPort) []Message {
	salt, about, statement := m.Salt(), protocol.About{Name: name}, protocol.Statement{Signed: m.Statement}
	messages := []Message{salt.Append, statement.Append, about.Append}
	if at.IsValid() {
		c := protocol.Candidates{Gen: 1, List: []protocol.Candidate{{Kind: 1, Addr: at}}}
		messages = append(messages, c.Append)
	}
	return messages
}

// Say returns a packet of control messages.
func (m *Member) Say(messages ...Message) ([]byte, error) { return m.seal(control(m.work, messages)) }

// SayInner returns a packet with an inner of any bytes.
func (m *Member) SayInner(inner []byte) ([]byte, error) {
	return m.seal(append(m.work[:protocol.HeaderLen], inner...))
}

// SayFrame returns a packet with an Ethernet frame.
func (m *Member) SayFrame(frame []byte) ([]byte, error) {
	const room = 64
	buf := append(m.work[:room], frame...)
	start := protocol.EncodeFrame(buf, room, len(frame), true)
	return m.seal(buf[start-protocol.HeaderLen:])
}

// seal seals an inner behind room for a header.
func (m *Member) seal(pkt []byte) ([]byte, error) {
	if m.Session == nil {
		return nil, errNoSession
	}
	ctr, err := m.Session.Reserve(1)
	if err != nil {
		return nil, err
	}
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.Transform(m.Session.XF()), KI: m.Session.KI(), RX: m.Session.RemoteIndex(), CTR: ctr,
	}.Put(pkt)
	return m.hide(m.Session.Seal(m.scratch, pkt)), nil
}

// Flood returns a GROUP packet with an Ethernet frame.
func (m *Member) Flood(frame []byte) ([]byte, error) {
	const room = 64
	buf := append(m.work[:room], frame...)
	start := protocol.EncodeFrame(buf, room, len(frame), false)
	return m.sealGroup(buf[start-protocol.HeaderLen-protocol.SaltLen:])
}

// FloodInner returns a GROUP packet with an inner of any bytes.
func (m *Member) FloodInner(inner []byte) ([]byte, error) {
	return m.sealGroup(append(m.work[:protocol.HeaderLen+protocol.SaltLen], inner...))
}

// sealGroup seals an inner behind room for a header and a salt.
func (m *Member) sealGroup(pkt []byte) ([]byte, error) {
	ctr, err := m.Group.Reserve(1)
	if err != nil {
		return nil, err
	}
	protocol.Header{
		Type: protocol.TypeGroup, XF: protocol.Transform(m.Group.XF()), KI: m.Group.KI(), RX: m.cfg.Community.Tag(), CTR: ctr,
	}.Put(pkt)
	return m.hide(m.Group.Seal(m.scratch, pkt)), nil
}

// Packet returns a packet of a header and any bytes behind it, masked as if it were a
// right one.
func (m *Member) Packet(h protocol.Header, rest []byte) []byte {
	pkt := append(m.work[:protocol.HeaderLen], rest...)
	h.Put(pkt)
	return m.hide(pkt)
}
