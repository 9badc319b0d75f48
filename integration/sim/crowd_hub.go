package sim

import (
	"sync/atomic"

	"hedgerow/crypto"
	"hedgerow/integration/attack/adversary"
	"hedgerow/protocol"
)

// CrowdHub is the supernode of a crowd: it knows the one edge, tells it of the
// members that have come, and relays between them and it.
type CrowdHub struct {
	*adversary.Supernode
	crowd      *Crowd
	registered atomic.Bool
	Hasty      bool                            // what it cannot say is no fault
	Silent     bool                            // answers nothing but handshakes; what is said to it is only heard
	Relayed    func(handle uint32, pkt []byte) // is shown what the edge has relayed, to whom; nil: nobody is
	Ack        func(protocol.Ack) protocol.Ack // what a REGISTER is answered with; nil: as it is
}

func newCrowdHub(c *Crowd, id *crypto.Identity) *CrowdHub {
	return &CrowdHub{crowd: c, Supernode: adversary.NewSupernode(c.world.surroundings(), id)}
}

// handle takes a datagram of the edge.
func (h *CrowdHub) handle(pkt []byte) {
	got, err := h.Supernode.Handle(pkt)
	if err == nil && got.Packet != nil && h.Relayed != nil {
		h.Relayed(got.Handle, got.Packet)
	}
	switch {
	case err != nil:
		h.crowd.world.tb.Error(err)
	case got.Reply != nil:
		h.Write(got.Reply)
	case got.Inner != nil:
		adversary.Messages(got.Inner, h.handleMessage)
	case got.Packet != nil && got.Handle >= 1 && int(got.Handle) <= len(h.crowd.members):
		h.crowd.members[got.Handle-1].handle(got.Packet, false)
	}
}

// Write sends the edge a packet as it is.
func (h *CrowdHub) Write(pkt []byte) { h.crowd.Inject(crowdHubAddr, pkt) }

// Tell sends the edge control messages.
func (h *CrowdHub) Tell(messages ...adversary.Message) {
	if h.Session == nil {
		return
	}
	pkt, err := h.Say(messages...)
	h.Send(pkt, err)
}

// Carry sends the edge a packet of a member, sealed and masked.
func (h *CrowdHub) Carry(from uint32, packet []byte) {
	pkt, err := h.Relay(from, 0, packet)
	h.Send(pkt, err)
}

// Send sends the edge a packet, unless it could not be made.
func (h *CrowdHub) Send(pkt []byte, err error) {
	switch {
	case err == nil:
		h.Write(pkt)
	case !h.Hasty:
		h.crowd.world.tb.Error(err)
	}
}

func (h *CrowdHub) handleMessage(typ protocol.MsgType, value []byte) {
	if typ == protocol.MsgRegister {
		h.registered.Store(true)
	}
	if h.Silent {
		return
	}
	switch typ {
	case protocol.MsgPing:
		if m, err := protocol.ParsePing(value); err == nil {
			answer := m.Pong(crowdEdgeAddr)
			h.Tell(answer.Append)
		}
	case protocol.MsgRegister:
		ack := protocol.Ack{Handle: 1 << 30, Seen: crowdEdgeAddr, LeaseSeconds: 86400, Members: uint32(len(h.crowd.members) + 1)}
		if h.Ack != nil {
			ack = h.Ack(ack)
		}
		h.Tell(ack.Append)
	case protocol.MsgQuery:
		if m, err := protocol.ParseQuery(value); err == nil {
			h.answerQuery(m)
		}
	}
}

// answerQuery tells of one member that has come, or of none.
func (h *CrowdHub) answerQuery(q protocol.Query) {
	for i, m := range h.crowd.members {
		if m.here && (q.Handle == m.Handle() || q.Handle == 0 && q.MAC == m.MAC) {
			h.TellOf(i)
			return
		}
	}
}

// TellOf tells the edge of a member.
func (h *CrowdHub) TellOf(i int) {
	info := h.crowd.members[i].Info()
	h.Tell(info.Append)
}
