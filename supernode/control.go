package supernode

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// controlLen is the longest control packet that we make, unless its single
// message is longer: it passes every path unfragmented.
const controlLen = 1200

// What control messages cost, in tokens of the session's bucket. A REGISTER
// costs two signature checks.
const (
	controlRate  = 50 // a second
	controlBurst = 200
	registerCost = 25
	queryCost    = 1

	listRate  = 1 // QUERYs for a list of members, a second
	listBurst = 3
)

// exchange is one control packet of an edge and the answer to it.
type exchange struct {
	now   time.Time
	out   *outbox
	hop   *hop
	from  netip.AddrPort // the answer goes back to where the packet came from
	reply []byte         // unsealed; nil: there is no answer yet
}

// message is any control message that we send.
type message interface {
	Append(dst []byte) []byte
}

// handleData opens a control packet and handles its messages in order.
func (s *Server) handleData(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	if h.Flags != 0 {
		s.refuse(dropHeader, out, from, nil)
		return
	}
	edge := s.session(now, out, len(pkt), from, h.RX)
	if edge == nil {
		return
	}
	inner, err := edge.session.Open(out.sc, pkt)
	switch {
	case errors.Is(err, crypto.ErrReplay):
		s.refuse(dropReplay, out, from, edge)
		return
	case err != nil:
		s.refuse(dropOpen, out, from, edge)
		return
	}
	if !edge.confirmed {
		edge.confirm(now)
		out.admit(from)
	}
	s.heard(now, out, edge, from, len(pkt))
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		s.refuse(dropInner, out, from, edge)
		return
	}
	s.handleControl(&exchange{now: now, out: out, hop: edge, from: from}, in.Body)
}

// handleControl handles the messages of one body and sends the answer. A body
// with a fault anywhere is dropped whole.
func (s *Server) handleControl(x *exchange, body []byte) {
	if protocol.CheckControl(body) != nil {
		s.refuseMessage(x, dropControl)
		return
	}
	for rest := body; len(rest) > 0; {
		var typ uint8
		var value []byte
		typ, value, rest, _ = protocol.NextTLV(rest)
		s.handleMessage(x, protocol.MsgType(typ), value)
	}
	if x.reply != nil {
		s.sendControl(x.out, x.hop, x.reply, x.from)
	}
}

// handleMessage is the switch of the control messages that an edge may send. A
// type that it does not know is a newer edge's and skipped.
func (s *Server) handleMessage(x *exchange, typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgPing:
		s.handlePing(x, value)
		return
	case protocol.MsgPong:
		s.handlePong(x, value)
		return
	case protocol.MsgWhoami:
		s.handleWhoami(x, value)
		return
	case protocol.MsgRegister:
		s.handleRegister(x, value)
		return
	}
	member := x.hop.reg != nil && x.hop.reg.hop == x.hop
	switch typ {
	case protocol.MsgQuery, protocol.MsgPunch, protocol.MsgUnregister, protocol.MsgDirect:
		if !member {
			s.refuseMessage(x, dropUnregistered)
			return
		}
	}
	switch typ {
	case protocol.MsgQuery:
		s.handleQuery(x, value)
	case protocol.MsgPunch:
		s.handlePunch(x, value)
	case protocol.MsgUnregister:
		s.handleUnregister(x)
	case protocol.MsgDirect:
		s.handleDirect(x, value)
	}
}

// refuseMessage counts and explains why a control message went no further.
func (s *Server) refuseMessage(x *exchange, reason dropReason) {
	s.refused.about(reason, true, x.out.origin(x.from), x.hop)
}

// handlePing answers with the address that the PING came from. The answer is as
// long as the PING, so that an edge measures the path in both directions. A PING
// without room for its answer is answered still, but only at the address that the
// edge has proved.
func (s *Server) handlePing(x *exchange, value []byte) {
	ping, err := protocol.ParsePing(value)
	if err != nil {
		s.refuseMessage(x, dropPing)
		return
	}
	highest, received := x.hop.session.Received()
	seen := underlayAddr(x.from)
	s.add(x, &protocol.Pong{
		Nonce: ping.Nonce, Seen: seen, Highest: highest, Received: received,
		Pad: max(0, protocol.PongRoom(ping, seen)),
	})
}

// handleWhoami is handlePing without the counters. A SEEN must name an address:
// over a stream it is the unspecified one.
func (s *Server) handleWhoami(x *exchange, value []byte) {
	asked, err := protocol.ParseWhoami(value)
	if err != nil {
		s.refuseMessage(x, dropWhoami)
		return
	}
	seen := underlayAddr(x.from)
	if !seen.IsValid() {
		seen = netip.AddrPortFrom(netip.IPv4Unspecified(), 0)
	}
	s.add(x, &protocol.Seen{Nonce: asked.Nonce, Addr: seen})
}

// startControl begins a control packet in buf: room for the header, and the
// first byte of the inner.
func startControl(buf []byte) []byte {
	return protocol.AppendControl(append(buf, make([]byte, protocol.HeaderLen)...))
}

// add appends a message to the answer. An answer that would get too long goes
// out first.
func (s *Server) add(x *exchange, m message) {
	if x.reply == nil {
		x.reply = startControl(x.out.buffer())
	}
	const empty = protocol.HeaderLen + 1
	before := len(x.reply)
	x.reply = m.Append(x.reply)
	if before == empty || len(x.reply)+protocol.TagLen <= controlLen {
		return
	}
	s.sendControl(x.out, x.hop, x.reply[:before], x.from)
	x.reply = m.Append(startControl(x.out.buffer()))
}

// sendControl seals the packet that startControl began and sends it. It reports
// whether it did: it sends nothing over a worn session, and no more to an address
// that has not proved itself than came from there.
func (s *Server) sendControl(out *outbox, h *hop, pkt []byte, to netip.AddrPort) bool {
	size := len(pkt) + protocol.TagLen
	switch {
	case !h.maySend(to, size):
		s.refuse(dropUnproved, out, to, h)
		return false
	case size > protocol.MaxDatagram:
		s.refuse(dropControlLong, out, to, h)
		return false
	}
	ctr, err := h.session.Reserve(1)
	if err != nil {
		s.refuse(dropSessionWorn, out, to, h)
		return false
	}
	protocol.Header{
		Type: protocol.TypeData, XF: protocol.XFHop, KI: protocol.KINone,
		RX: h.session.RemoteIndex(), CTR: ctr,
	}.Put(pkt)
	if to != h.addr {
		h.probe.out += size
	}
	out.send(h.session.Seal(out.sc, pkt), to)
	return true
}
