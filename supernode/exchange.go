package supernode

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// controlLen is the longest control packet that we make, unless its single
// message is longer: it passes every path unfragmented.
const controlLen = 1200

// A guest has tokens for packets, whatever is in them.
const (
	guestRate  = 20 // a second
	guestBurst = 100
)

// emptyControl is the length of a control packet without messages: a header, and the
// first byte of the inner.
const emptyControl = protocol.HeaderLen + 1

// message is any control message that we send.
type message interface {
	Append(dst []byte) []byte
}

// startControl begins a control packet in buf.
func startControl(buf []byte) []byte {
	return protocol.AppendControl(append(buf, make([]byte, protocol.HeaderLen)...))
}

// controlSender seals control packets and queues them.
type controlSender struct {
	refused *refusals
}

// send seals the packet that startControl began and queues it. It reports whether it
// did: it sends nothing over a worn session, and no more to an address that has not
// proved itself than came from there.
func (s *controlSender) send(out *outbox, h *hop, pkt []byte, to netip.AddrPort) bool {
	size := len(pkt) + protocol.TagLen
	switch {
	case !h.maySend(to, size):
		s.refused.about(dropUnproved, false, out.origin(to), h)
		return false
	case size > protocol.MaxDatagram:
		s.refused.about(dropControlLong, false, out.origin(to), h)
		return false
	}
	ctr, err := h.session.Reserve(1)
	if err != nil {
		s.refused.about(dropSessionWorn, false, out.origin(to), h)
		return false
	}
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone,
		RX: h.session.RemoteIndex(), CTR: ctr,
	}.Put(pkt)
	if to != h.addr {
		h.probe.out.count(size)
	}
	out.send(h.session.Seal(out.sc, pkt), h.route(to))
	return true
}

// message sends a single message to an edge at the address in use.
func (s *controlSender) message(out *outbox, h *hop, m message) {
	s.send(out, h, m.Append(startControl(out.buffer())), h.addr)
}

// exchange is one control packet of an edge and the answer to it.
type exchange struct {
	now       time.Time
	out       *outbox
	hop       *hop
	from      netip.AddrPort // the answer goes back to where the packet came from
	sender    *controlSender
	allowance *allowance
	reply     []byte  // unsealed; nil: there is no answer yet
	proves    bool    // from is to be asked to prove itself, together with the answer
	claims    *claims // of the REGISTER in the packet; nil: it was not checked, or there is none
	promises  bool    // the answer promises what was noted for the disk
}

// proved reports whether the edge is known to be where the packet came from.
func (x *exchange) proved() bool { return x.from == x.hop.addr }

// affords reports whether the edge has tokens for a message that costs as many, and
// subtracts them.
func (x *exchange) affords(cost float64) bool {
	return x.allowance.control(x.now, x.hop, cost)
}

// add appends a message to the answer. An answer that would get too long goes
// out first, but to an address that has not proved itself there is one packet only.
func (x *exchange) add(m message) {
	if x.reply == nil {
		x.reply = startControl(x.out.buffer())
	}
	before := len(x.reply)
	x.reply = m.Append(x.reply)
	if before == emptyControl || len(x.reply)+protocol.TagLen <= controlLen {
		return
	}
	if !x.proved() {
		x.reply = x.reply[:before]
		x.refuse(dropUnproved)
		return
	}
	x.sender.send(x.out, x.hop, x.reply[:before], x.from)
	x.reply = m.Append(startControl(x.out.buffer()))
}

// send sends the answer, if there is one.
func (x *exchange) send() {
	if x.reply != nil {
		x.sender.send(x.out, x.hop, x.reply, x.from)
	}
}

// refuse counts and explains why a message of the packet went no further.
func (x *exchange) refuse(reason dropReason) {
	x.sender.refused.about(reason, true, x.out.origin(x.from), x.hop)
}
