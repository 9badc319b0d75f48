package supernode

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

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

// handleData opens a control packet and handles its messages in order.
func (s *Server) handleData(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	if h.Flags != 0 {
		s.refused.about(dropHeader, false, out.origin(from), nil)
		return
	}
	edge := s.sessions.find(now, out, len(pkt), from, h.RX)
	if edge == nil {
		return
	}
	inner, err := edge.session.Open(out.sc, pkt)
	switch {
	case errors.Is(err, crypto.ErrReplay):
		s.refused.about(dropReplay, false, out.origin(from), edge)
		return
	case err != nil:
		s.refused.about(dropOpen, false, out.origin(from), edge)
		return
	}
	if !edge.confirmed {
		edge.confirm(now)
		out.admit(from)
	}
	s.sessions.heard(now, out, edge, from, len(pkt))
	in, err := protocol.ParseInner(inner)
	if err != nil || in.Kind != protocol.KindControl {
		s.refused.about(dropInner, false, out.origin(from), edge)
		return
	}
	s.handleControl(&exchange{now: now, out: out, hop: edge, from: from, sender: s.sender}, in.Body)
}

// handleControl handles the messages of one body and sends the answer. A body
// with a fault anywhere is dropped whole.
func (s *Server) handleControl(x *exchange, body []byte) {
	if protocol.CheckControl(body) != nil {
		x.refuse(dropControl)
		return
	}
	for rest := body; len(rest) > 0; {
		var typ uint8
		var value []byte
		typ, value, rest, _ = protocol.NextTLV(rest)
		s.handleMessage(x, protocol.MsgType(typ), value)
	}
	x.send()
}

// handleMessage is the switch of the control messages that an edge may send. A
// type that it does not know is a newer edge's and skipped.
func (s *Server) handleMessage(x *exchange, typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgPing:
		answerPing(x, value)
		return
	case protocol.MsgPong:
		s.prober.handlePong(x, value)
		return
	case protocol.MsgWhoami:
		answerWhoami(x, value)
		return
	case protocol.MsgRegister:
		s.handleRegister(x, value)
		return
	}
	member := x.hop.reg != nil && x.hop.reg.hop == x.hop
	switch typ {
	case protocol.MsgQuery, protocol.MsgPunch, protocol.MsgUnregister, protocol.MsgDirect:
		if !member {
			x.refuse(dropUnregistered)
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
		replaceDirectSet(x, value)
	}
}
