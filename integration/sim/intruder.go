package sim

import (
	"crypto/ed25519"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Intruder speaks to a supernode by hand: it has an identity of its own, knows
// the community's secret, and may claim what it likes.
type Intruder struct {
	world    *World
	to       *Supernode
	conn     *nattest.Conn
	identity *crypto.Identity
	mask     *crypto.Mask
	scratch  *crypto.Scratch
	session  *crypto.HopSession
	hash     [32]byte
}

// Intruder makes a hop session from a host.
func (w *World) Intruder(h *nattest.Host, to *Supernode) *Intruder {
	conn, err := h.Listen(0)
	if err != nil {
		w.tb.Fatal(err)
	}
	x := &Intruder{
		world: w, to: to, conn: conn, identity: w.identity(),
		mask: crypto.NewMask(crypto.SupernodeMaskKey(to.identity.Static, nil)), scratch: crypto.NewScratch(),
	}
	const index = 77
	var hdr [16]byte
	protocol.Header{Type: protocol.TypeInit, XF: protocol.XFHop, KI: protocol.KINone, RX: index}.Put(hdr[:])
	payload := protocol.InitPayload{Stamp: uint64(time.Now().UnixNano()), VMin: 1, VMax: 1, MTU: 1370}
	var p [48]byte
	payload.Put(&p)
	i, pkt, err := crypto.Initiate(crypto.HandshakeConfig{Hop: true, Local: x.identity}, to.identity.Static, hdr, p, nil)
	if err != nil {
		w.tb.Fatal(err)
	}
	x.mask.Hide(x.scratch, pkt)
	x.write(pkt)
	resp := x.read()
	header, err := protocol.ParseHeader(resp)
	if err != nil {
		w.tb.Fatal(err)
	}
	_, keys, err := i.Finish(resp)
	if err != nil {
		w.tb.Fatal(err)
	}
	x.hash = keys.Hash
	x.session, err = crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: index, Remote: uint32(header.CTR >> 32),
		Static: to.identity.Static, Created: time.Now(), Initiator: true,
	})
	if err != nil {
		w.tb.Fatal(err)
	}
	return x
}

func (x *Intruder) write(pkt []byte) {
	if _, err := x.conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: x.to.Addr}}); err != nil {
		x.world.tb.Fatal(err)
	}
}

// read returns the next datagram, unmasked.
func (x *Intruder) read() []byte {
	d := []transport.Datagram{{Buf: make([]byte, 2048)}}
	if err := x.conn.Wait(); err != nil {
		x.world.tb.Fatal(err)
	}
	if _, err := x.conn.ReadBatch(d); err != nil {
		x.world.tb.Fatal(err)
	}
	b := d[0].Payload()
	x.mask.Show(x.scratch, b)
	return b
}

// Claim returns a REGISTER for a hardware address with somebody's statement.
func (x *Intruder) Claim(mac protocol.MAC, statement []byte, want netip.Prefix) *protocol.Register {
	c := x.world.Community
	return &protocol.Register{
		CID: c.ID(), RPK: [32]byte(c.Rendezvous().Public().(ed25519.PublicKey)), NH: c.NameHash(), MAC: mac, Prefix: want,
		SigC: crypto.SignMembership(c.Rendezvous(), x.hash, c.ID(), mac, x.identity.Static), Statement: statement,
	}
}

// Register sends a REGISTER and returns the code of the NAK, 0 after an ACK.
func (x *Intruder) Register(m *protocol.Register) uint8 {
	pkt := protocol.AppendControl(make([]byte, protocol.HeaderLen, protocol.MaxDatagram))
	pkt = m.Append(pkt)
	ctr, err := x.session.Reserve(1)
	if err != nil {
		x.world.tb.Fatal(err)
	}
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: x.session.RemoteIndex(), CTR: ctr}.Put(pkt)
	pkt = x.session.Seal(x.scratch, pkt)
	x.mask.Hide(x.scratch, pkt)
	x.write(pkt)
	for {
		inner, err := x.session.Open(x.scratch, x.read())
		if err != nil {
			x.world.tb.Fatal(err)
		}
		in, err := protocol.ParseInner(inner)
		if err != nil {
			x.world.tb.Fatal(err)
		}
		for rest := in.Body; len(rest) > 0; {
			var typ uint8
			var value []byte
			if typ, value, rest, err = protocol.NextTLV(rest); err != nil {
				x.world.tb.Fatal(err)
			}
			switch protocol.MsgType(typ) {
			case protocol.MsgAck:
				return 0
			case protocol.MsgNak:
				n, err := protocol.ParseNak(value)
				if err != nil {
					x.world.tb.Fatal(err)
				}
				return n.Code
			}
		}
	}
}
