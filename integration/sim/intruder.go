package sim

import (
	"net/netip"

	"hedgerow/integration/attack/adversary"
	"hedgerow/nat/nattest"
	"hedgerow/protocol"
	"hedgerow/transport"
)

// Intruder speaks to a supernode by hand: it has an identity of its own, knows
// the community's secret, and may claim what it likes.
type Intruder struct {
	*adversary.Guest
	world *World
	to    *Supernode
	conn  *nattest.Conn
}

// Intruder makes a hop session from a host.
func (w *World) Intruder(h *nattest.Host, to *Supernode) *Intruder {
	x := w.Stranger(h, to)
	pkt, err := x.Initiate()
	x.Write(pkt, err)
	for x.Session == nil {
		got, err := x.Handle(x.read())
		if err != nil {
			w.tb.Fatal(err)
		}
		if got.Reply != nil {
			x.Write(got.Reply, nil)
		}
	}
	return x
}

// Stranger is an intruder that has said nothing yet.
func (w *World) Stranger(h *nattest.Host, to *Supernode) *Intruder {
	conn, err := h.Listen(0)
	if err != nil {
		w.tb.Fatal(err)
	}
	return &Intruder{world: w, to: to, conn: conn, Guest: adversary.NewGuest(w.surroundings(), w.identity(), to.identity.Static, 77)}
}

// Write sends a datagram to the supernode, unless it could not be made.
func (x *Intruder) Write(pkt []byte, err error) {
	if err == nil {
		_, err = x.conn.WriteBatch([]transport.Datagram{{Buf: pkt, N: len(pkt), Addr: x.to.Addr}})
	}
	if err != nil {
		x.world.tb.Fatal(err)
	}
}

// Addr returns where the intruder is.
func (x *Intruder) Addr() netip.AddrPort { return x.conn.LocalAddr() }

// read returns the next datagram, for which it waits.
func (x *Intruder) read() []byte {
	for {
		if pkt := x.Poll(); pkt != nil {
			return pkt
		}
		if err := x.conn.Wait(); err != nil {
			x.world.tb.Fatal(err)
		}
	}
}

// Poll returns the next datagram, nil if there is none.
func (x *Intruder) Poll() []byte {
	d := []transport.Datagram{{Buf: make([]byte, 2048)}}
	n, err := x.conn.ReadBatch(d)
	if err != nil {
		x.world.tb.Fatal(err)
	}
	if n == 0 {
		return nil
	}
	return d[0].Payload()
}

// Claim returns a REGISTER for a hardware address with somebody's statement.
func (x *Intruder) Claim(mac protocol.MAC, statement []byte, want netip.Prefix) *protocol.Register {
	m := x.Guest.Claim(x.world.Community, mac, statement)
	m.Prefix = want
	return m
}

// Register sends a REGISTER and returns the code of the NAK, 0 after an ACK.
func (x *Intruder) Register(m *protocol.Register) uint8 {
	pkt, err := x.Say(m.Append)
	x.Write(pkt, err)
	for answered := false; ; {
		code := uint8(0)
		got, err := x.Handle(x.read())
		if err != nil {
			x.world.tb.Fatal(err)
		}
		adversary.Messages(got.Inner, func(typ protocol.MsgType, value []byte) {
			switch typ {
			case protocol.MsgAck:
				answered = true
			case protocol.MsgNak:
				n, err := protocol.ParseNak(value)
				if err != nil {
					x.world.tb.Fatal(err)
				}
				answered, code = true, n.Code
			}
		})
		if answered {
			return code
		}
	}
}
