package adversary

import (
	"crypto/ed25519"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Guest is an edge's end of hop sessions with one supernode.
type Guest struct {
	hop
	supernode  [32]byte
	initiation *crypto.Initiation
	cookie     *[16]byte
	index      uint32
	hash       [32]byte // of the last handshake

	Payload protocol.InitPayload // of its INITs; the stamp is the time unless it is set
}

// NewGuest returns an edge without a session. index is of its first session; the
// next ones count on.
func NewGuest(in Surroundings, id *crypto.Identity, supernode [32]byte, index uint32) *Guest {
	return &Guest{
		hop: newHop(in, id, supernode), supernode: supernode, index: index,
		Payload: protocol.InitPayload{VMin: protocol.Version, VMax: protocol.Version, MTU: 1370},
	}
}

// Initiate returns an INIT.
func (g *Guest) Initiate() ([]byte, error) {
	g.index++
	payload := g.Payload
	if payload.Stamp == 0 {
		payload.Stamp = uint64(g.Now().UnixNano())
	}
	var hdr [protocol.HeaderLen]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFHop, KI: protocol.KINone, RX: g.index, CTR: protocol.Revision}.Put(hdr[:])
	var plain [protocol.InitPayloadLen]byte
	payload.Put(&plain)
	i, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Hop: true, Local: g.Identity, Rand: g.Rand}, g.supernode, hdr, plain, g.cookie)
	if err != nil {
		return nil, err
	}
	g.initiation = i
	return g.hide(pkt), nil
}

// Handle takes a packet of the supernode.
func (g *Guest) Handle(pkt []byte) (got Heard, err error) {
	if !g.mask.Show(g.scratch, pkt) {
		return got, nil
	}
	if got.Header, err = protocol.ParseHeader(pkt); err != nil || got.Header.XF != protocol.XFHop {
		return got, nil
	}
	switch got.Header.Type {
	case protocol.TypeCookie:
		if g.initiation == nil || got.Header.RX != g.index {
			return got, nil
		}
		if cookie, err := g.initiation.OpenCookie(pkt); err == nil {
			g.cookie = &cookie
			got.Reply, err = g.Initiate()
			return got, err
		}
	case protocol.TypeResp:
		return got, g.finish(&got, pkt)
	default:
		g.open(&got, pkt)
	}
	return got, nil
}

func (g *Guest) finish(got *Heard, pkt []byte) error {
	if g.initiation == nil || got.Header.RX != g.index {
		return nil
	}
	plain, keys, err := g.initiation.Finish(pkt)
	if err != nil {
		return err
	}
	p, err := protocol.ParseRespPayload(plain[:])
	if err != nil {
		return err
	}
	if p.Flags&protocol.RespChallenge != 0 {
		g.Payload.Challenge = p.Challenge
		got.Reply, err = g.Initiate()
		return err
	}
	g.initiation, g.hash, got.Began = nil, keys.Hash, true
	return g.begin(keys, g.index, uint32(got.Header.CTR>>32), g.supernode, true)
}

// Claim returns a REGISTER for a hardware address with somebody's statement, which
// proves membership in this session.
func (g *Guest) Claim(c *crypto.Community, mac protocol.MAC, statement []byte) *protocol.Register {
	return &protocol.Register{
		CID: c.ID(), RPK: [32]byte(c.Rendezvous().Public().(ed25519.PublicKey)), NH: c.NameHash(), MAC: mac,
		SigC: crypto.SignMembership(c.Rendezvous(), g.hash, c.ID(), mac, g.Identity.Static), Statement: statement,
	}
}

// Register returns a true REGISTER of the guest itself.
func (g *Guest) Register(c *crypto.Community) *protocol.Register {
	mac := protocol.MAC(g.Identity.MAC(c.ID()))
	return g.Claim(c, mac, g.Identity.SignStatement(crypto.Statement{CID: c.ID(), MAC: mac, Seq: 1, Expiry: 1 << 40}))
}
