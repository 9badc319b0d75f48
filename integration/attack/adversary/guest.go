package adversary

import (
	"crypto/ed25519"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Guest is an edge's end of hop sessions with one supernode.
type Guest struct {
	hop
	initiator
	supernode [32]byte
	hash      [32]byte // of the last handshake
}

// NewGuest returns an edge without a session. index is of its first session; the
// next ones count on.
func NewGuest(in Surroundings, id *crypto.Identity, supernode [32]byte, index uint32) *Guest {
	return &Guest{
		hop: newHop(in, id, supernode), supernode: supernode,
		initiator: initiator{index: index, Payload: protocol.InitPayload{VMin: protocol.Version, VMax: protocol.Version, MTU: 1370}},
	}
}

// Another returns an edge of the same supernode that is played by the same goroutine: both
// work in the same memory, so that thousands take little.
func (g *Guest) Another(id *crypto.Identity, index uint32) *Guest {
	other := *g
	other.Identity, other.Session = id, nil
	other.initiator = initiator{index: index, Payload: g.Payload}
	return &other
}

// Initiate returns an INIT.
func (g *Guest) Initiate() ([]byte, error) {
	cfg := crypto.HandshakeConfig{Hop: true, Local: g.Identity, Rand: g.Rand}
	g.former = former{g.initiation, g.index}
	pkt, err := g.initiate(cfg, g.supernode, protocol.Header{XF: protocol.XFHop, KI: protocol.KINone}, g.another(g.Now()))
	if err != nil {
		return nil, err
	}
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
		if g.awaits(got.Header) && g.keep(pkt) {
			got.Reply, err = g.Initiate()
		}
	case protocol.TypeResp:
		switch f := g.former; {
		case g.awaits(got.Header):
			err = g.conclude(&got, pkt, g.index)
		case f.initiation != nil && got.Header.RX == f.index:
			g.initiation = f.initiation
			err = g.conclude(&got, pkt, f.index)
		}
	default:
		g.open(&got, pkt)
	}
	return got, err
}

// conclude begins the session of a RESP, under our index, or the handshake anew.
func (g *Guest) conclude(got *Heard, pkt []byte, index uint32) error {
	keys, again, err := g.finish(pkt)
	if again {
		got.Reply, err = g.Initiate()
	}
	if again || err != nil {
		return err
	}
	g.hash, got.Began, g.former = keys.Hash, true, former{}
	return g.begin(keys, index, uint32(got.Header.CTR>>32), g.supernode, true)
}

// Claim returns a REGISTER for a hardware address with somebody's statement, which
// proves membership in this session.
func (g *Guest) Claim(c *crypto.Community, mac protocol.MAC, statement []byte) *protocol.Register {
	return &protocol.Register{
		CID: c.ID(), RPK: [32]byte(c.Rendezvous().Public().(ed25519.PublicKey)), NH: c.RoomHash(), MAC: mac,
		SigC: crypto.SignMembership(c.Rendezvous(), g.hash, c.ID(), mac, g.Identity.Static), Statement: statement,
	}
}

// Register returns a true REGISTER of the guest itself.
func (g *Guest) Register(c *crypto.Community) *protocol.Register {
	mac := protocol.MAC(g.Identity.MAC(c.ID()))
	return g.Claim(c, mac, g.Identity.SignStatement(crypto.Statement{CID: c.ID(), MAC: mac, Seq: 1, Expiry: 1 << 40}))
}
