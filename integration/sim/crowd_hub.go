package sim

import (
	"sync/atomic"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// crowdHub is the supernode of a crowd: it knows the one edge, tells it of the
// members that have come, and relays between them and it.
type crowdHub struct {
	crowd      *Crowd
	identity   *crypto.Identity
	session    *crypto.HopSession
	registered atomic.Bool
	work       []byte
}

func newCrowdHub(c *Crowd, id *crypto.Identity) *crowdHub {
	return &crowdHub{crowd: c, identity: id, work: make([]byte, 0, 2048)}
}

// handle takes a datagram of the edge.
func (h *crowdHub) handle(pkt []byte) {
	c := h.crowd
	if !c.masks.hops.Show(c.scratch, pkt) {
		return // a question of STUN
	}
	head, err := protocol.ParseHeader(pkt)
	if err != nil || head.XF != protocol.XFHop {
		return
	}
	switch head.Type {
	case protocol.TypeInit:
		h.answerInit(head, pkt)
	case protocol.TypeData:
		if h.session == nil || head.RX != h.session.LocalIndex() {
			return
		}
		if inner, err := h.session.Open(c.scratch, pkt); err == nil {
			h.handleControl(inner)
		}
	case protocol.TypeRelay:
		if h.session == nil || head.RX != h.session.LocalIndex() {
			return
		}
		packet, err := h.session.OpenRelay(c.scratch, pkt)
		handle, _ := protocol.SplitRelayCTR(head.CTR)
		if err == nil && handle >= 1 && int(handle) <= len(c.members) {
			c.members[handle-1].handle(packet, false)
		}
	}
}

func (h *crowdHub) answerInit(head protocol.Header, pkt []byte) {
	c := h.crowd
	reply, err := crypto.ReadInit(crypto.HandshakeConfig{Hop: true, Local: h.identity, Rand: c.world.random()}, pkt)
	if err != nil {
		return
	}
	index := head.RX ^ 0x5a5a5a5a
	var plain [32]byte
	answer := protocol.RespPayload{Version: protocol.Version, MTU: protocol.MaxDatagram}
	answer.Put(&plain)
	var hdr [16]byte
	protocol.Header{Type: protocol.TypeResp, XF: protocol.XFHop, KI: protocol.KINone, RX: head.RX, CTR: uint64(index) << 32}.Put(hdr[:])
	resp, keys, err := reply.Write(hdr, plain)
	if err != nil {
		c.tb.Error(err)
		return
	}
	h.session, err = crypto.NewHopSession(crypto.SessionConfig{
		Keys: keys, XF: uint8(protocol.XFHop), KI: protocol.KINone, Local: index, Remote: head.RX, Static: reply.Remote, Created: time.Now(),
	})
	if err != nil {
		c.tb.Error(err)
		return
	}
	h.write(resp)
}

// write masks a packet for the edge and sends it.
func (h *crowdHub) write(pkt []byte) {
	h.crowd.masks.hops.Hide(h.crowd.scratch, pkt)
	h.crowd.socket.in.put(crowdHubAddr, pkt)
}

// say sends the edge control messages.
func (h *crowdHub) say(messages ...func([]byte) []byte) {
	if h.session == nil {
		return
	}
	pkt := protocol.AppendControl(h.work[:protocol.HeaderLen])
	for _, m := range messages {
		pkt = m(pkt)
	}
	ctr, err := h.session.Reserve(1)
	if err != nil {
		h.crowd.tb.Error(err)
		return
	}
	protocol.Header{Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone, RX: h.session.RemoteIndex(), CTR: ctr}.Put(pkt)
	h.write(h.session.Seal(h.crowd.scratch, pkt))
}

// relay sends the edge a packet of a member, sealed and masked.
func (h *crowdHub) relay(from uint32, packet []byte) {
	pkt := append(h.work[:protocol.RelayOverhead], packet...)
	counter, err := h.session.ReserveRelay()
	if err != nil {
		h.crowd.tb.Error(err)
		return
	}
	protocol.Header{
		Type: protocol.TypeRelay, XF: protocol.XFHop, KI: protocol.KINone, RX: h.session.RemoteIndex(), CTR: protocol.RelayCTR(from, counter),
	}.Put(pkt)
	h.session.SealRelay(h.crowd.scratch, pkt)
	h.write(pkt)
}

func (h *crowdHub) handleControl(inner []byte) {
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		return
	}
	for rest := in.Body; len(rest) > 0; {
		var typ uint8
		var value []byte
		if typ, value, rest, err = protocol.NextTLV(rest); err != nil {
			return
		}
		h.handleMessage(protocol.MsgType(typ), value)
	}
}

func (h *crowdHub) handleMessage(typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgPing:
		if m, err := protocol.ParsePing(value); err == nil {
			answer := protocol.Pong{Nonce: m.Nonce, Seen: crowdEdgeAddr, Pad: max(0, protocol.PongRoom(m, crowdEdgeAddr))}
			h.say(answer.Append)
		}
	case protocol.MsgRegister:
		ack := protocol.Ack{Handle: 1 << 30, Seen: crowdEdgeAddr, LeaseSeconds: 86400, Members: uint32(len(h.crowd.members) + 1)}
		h.say(ack.Append)
		h.registered.Store(true)
	case protocol.MsgQuery:
		if m, err := protocol.ParseQuery(value); err == nil {
			h.answerQuery(m)
		}
	}
}

// answerQuery tells of one member that has come, or of none.
func (h *crowdHub) answerQuery(q protocol.Query) {
	for i, m := range h.crowd.members {
		if m.here && (q.Handle == m.handleNumber() || q.Handle == 0 && q.MAC == m.mac) {
			h.tellOf(i)
			return
		}
	}
}

// tellOf tells the edge of a member.
func (h *crowdHub) tellOf(i int) {
	info := h.crowd.members[i].info()
	h.say(info.Append)
}
