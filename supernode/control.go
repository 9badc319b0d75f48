package supernode

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// controls open the control packets of edges and hand each message to its owner.
type controls struct {
	sessions  *sessions
	prober    *prober
	registrar *registrar
	members   *members
	redirects *redirects
	rotation  *rotation
	sender    *controlSender
	allowance *allowance
	refused   *refusals
	tables    *sync.Mutex // the caller's, but of prove

	acknowledger *acknowledger
	listings     *listings
}

// handleData opens a control packet and handles its messages in order.
func (c *controls) handleData(now time.Time, out *outbox, pkt []byte, from netip.AddrPort, h protocol.Header) {
	if h.Flags != 0 {
		c.refused.about(dropHeader, false, out.origin(from), nil)
		return
	}
	edge := c.sessions.find(now, out, len(pkt), from, h.RX)
	if edge == nil {
		return
	}
	inner, err := edge.session.Open(out.sc, pkt)
	switch {
	case errors.Is(err, crypto.ErrReplay):
		c.refused.about(dropReplay, false, out.origin(from), edge)
		return
	case err != nil:
		c.refused.about(dropOpen, false, out.origin(from), edge)
		return
	}
	if !edge.visit.confirmed {
		c.sessions.confirm(now, edge)
		out.admit(from, streamSession)
	}
	x := &exchange{now: now, out: out, hop: edge, from: from, sender: c.sender, allowance: c.allowance}
	x.proves = c.sessions.heard(now, out, edge, from, len(pkt))
	in, err := protocol.ParseInner(inner)
	switch {
	case err != nil || in.Kind != protocol.KindControl:
		c.refused.about(dropInner, false, out.origin(from), edge)
		in.Body = nil
	case edge.reg == nil && !c.listings.table.Expects(edge.session.LocalIndex()) && !edge.visit.packets.Take(now, 1, guestRate, guestBurst):
		x.refuse(dropControlRate)
		in.Body = nil
	}
	c.handleControl(x, in.Body)
}

// handleControl handles the messages of one body and sends the answer, or has that done
// when the signatures of a REGISTER in it have been checked. A body
// with a fault anywhere is dropped whole, before any of it is done.
func (c *controls) handleControl(x *exchange, body []byte) {
	if protocol.CheckControl(body) != nil || !oneChange(body) {
		x.refuse(dropControl)
		body = nil
	}
	if !c.registrar.postpone(x, body) {
		c.handleMessages(x, body)
	}
}

// handleMessages handles the messages of a body that can be read, in order, and sends the
// answer.
func (c *controls) handleMessages(x *exchange, body []byte) {
	for rest := body; len(rest) > 0; {
		var typ uint8
		var value []byte
		typ, value, rest, _ = protocol.NextTLV(rest)
		c.handleMessage(x, protocol.MsgType(typ), value)
	}
	if x.promises {
		c.redirects.greet(x)
		c.rotation.greet(x)
	}
	if !x.promises || !c.acknowledger.hold(x) {
		c.answer(x)
	}
}

// answer sends the answer of an exchange, and asks the address that it came from to prove
// itself if it has to.
func (c *controls) answer(x *exchange) {
	x.sender, x.allowance = c.sender, c.allowance
	if x.proves && !x.proved() {
		c.prober.sendWith(x)
		return
	}
	x.send()
}

// runProofs checks the signatures of REGISTERs until ctx ends, without the mutex of the
// tables, and handles the packets that they came in.
func (c *controls) runProofs(ctx context.Context, sockets *sockets, now func() time.Time) {
	out := newOutbox()
	q := c.registrar.proofs.waiting
	for in, ok := q.next(ctx, now); ok; in, ok = q.next(ctx, now) {
		if !sockets.gate.Enter() {
			return
		}
		c.prove(now, out, &in)
		sockets.flush(out)
		sockets.gate.Leave()
	}
}

// prove checks the signatures of a REGISTER, and handles the packet that it came in.
func (c *controls) prove(now func() time.Time, out *outbox, in *claimed) {
	m, err := protocol.ParseRegister(registerOf(in.body))
	if err != nil {
		return // it was read before
	}
	found := verifyClaims(in.hop, &m, in.known)
	c.proveList(found)
	c.tables.Lock()
	defer c.tables.Unlock()
	out.answerTo(in.came, in.source)
	c.handleMessages(&exchange{
		now: now(), out: out, hop: in.hop, from: in.came.addr, sender: c.sender, allowance: c.allowance, proves: in.proves, claims: found,
	}, in.body)
}

// proveList checks the signature of a list of members that an edge names, if it is newer than
// the one that is here. It holds the mutex of the tables only to ask that, and the claim says
// what was found when the edge is judged.
func (c *controls) proveList(found *claims) {
	if found.listing == nil {
		return
	}
	c.tables.Lock()
	news := c.listings.table.News(found.listing)
	c.tables.Unlock()
	if news && !found.listing.Signed() {
		found.refused = badProof(dropRegisterListing)
	}
}

// oneChange reports whether a body changes at most once whether its sender is registered:
// it has one REGISTER at most, or an UNREGISTER behind everything else. What the session
// is, is then the same for all messages of the body, but for those behind the REGISTER.
func oneChange(body []byte) bool {
	changed, left := false, false
	for rest := body; len(rest) > 0; {
		var typ uint8
		var err error
		if typ, _, rest, err = protocol.NextTLV(rest); err != nil || left {
			return false
		}
		switch protocol.MsgType(typ) {
		case protocol.MsgRegister, protocol.MsgUnregister:
			left = protocol.MsgType(typ) == protocol.MsgUnregister
			if changed {
				return false
			}
			changed = true
		}
	}
	return true
}

// handleMessage is the switch of the control messages that an edge may send. A
// type that it does not know is a newer edge's and skipped.
func (c *controls) handleMessage(x *exchange, typ protocol.MsgType, value []byte) {
	switch typ {
	case protocol.MsgPing:
		answerPing(x, value)
		return
	case protocol.MsgPong:
		c.prober.handlePong(x, value)
		return
	case protocol.MsgWhoami:
		answerWhoami(x, value)
		return
	case protocol.MsgRegister:
		c.registrar.handleRegister(x, value)
		c.listings.handleRegistered(x)
		return
	case protocol.MsgListPart:
		c.listings.handlePart(x, value)
		return
	}
	member := x.hop.reg != nil && x.hop.reg.hop == x.hop
	switch typ {
	case protocol.MsgQuery, protocol.MsgPunch, protocol.MsgUnregister, protocol.MsgDirect, protocol.MsgRedirect, protocol.MsgRotate, protocol.MsgListWant:
		if !member {
			x.refuse(dropUnregistered)
			return
		}
	}
	switch typ {
	case protocol.MsgQuery:
		c.members.handleQuery(x, value)
	case protocol.MsgPunch:
		c.members.handlePunch(x, value)
	case protocol.MsgUnregister:
		c.registrar.handleUnregister(x)
	case protocol.MsgDirect:
		c.members.handleDirect(x, value)
	case protocol.MsgRedirect:
		c.redirects.handle(x, value)
	case protocol.MsgRotate:
		c.rotation.handle(x, value)
	case protocol.MsgListWant:
		c.listings.handleWant(x, value)
	}
}
