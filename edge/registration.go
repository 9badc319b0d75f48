package edge

import (
	"errors"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// handleHopMessage acts on one control message of a supernode.
func (e *Edge) handleHopMessage(now time.Time, l *link, entry *dataplane.HopSession, typ protocol.MsgType, value []byte, from netip.AddrPort) error {
	switch typ {
	case protocol.MsgPing:
		return take(value, protocol.ParsePing, func(m protocol.Ping) {
			answer := protocol.Pong{Nonce: m.Nonce, Seen: from, Pad: max(protocol.PongRoom(m, from), 0)}
			e.sendHop(l, answer.Append)
		})
	case protocol.MsgPong:
		return take(value, protocol.ParsePong, func(m protocol.Pong) { e.handleLinkPong(now, l, m) })
	case protocol.MsgAck:
		return take(value, protocol.ParseAck, func(m protocol.Ack) {
			if entry == l.session {
				e.handleAck(now, l, m)
			}
		})
	case protocol.MsgNak:
		return take(value, protocol.ParseNak, func(m protocol.Nak) {
			if entry == l.session {
				e.handleNak(now, l, m)
			}
		})
	case protocol.MsgPeerInfo:
		return take(value, protocol.ParsePeerInfo, func(m protocol.PeerInfo) { e.handlePeerInfo(now, l, m) })
	case protocol.MsgPunch:
		return take(value, protocol.ParsePunch, func(m protocol.Punch) { e.handlePunch(now, l, m) })
	}
	return nil
}

// handlePunch begins an attempt when a supernode says so.
func (e *Edge) handlePunch(now time.Time, l *link, m protocol.Punch) {
	if p := e.peers.byHandle[l.view.ID()][m.Handle]; p != nil && p.path != nil {
		e.host.Log.Debug("punch", "peer", p.about.Name, "seen", m.Seen, "delay", m.Delay)
		p.path.Punch(now, m.Seen, m.Delay)
		e.pollPath(now, p)
		e.wake(p)
	}
}

// handleAck takes over what a supernode granted.
func (e *Edge) handleAck(now time.Time, l *link, m protocol.Ack) {
	r := &l.reg
	first := !r.done
	r.done, r.pending, r.attempts = true, false, 0
	r.token = m.ResetToken
	r.others, r.otherKey = max(int(m.Members)-1, 0), int(m.OtherKey)
	if m.LeaseSeconds > 0 {
		r.renew = now.Add(time.Duration(m.LeaseSeconds) * time.Second / 2)
	}
	e.addresses.observe(now, l.at, m.Seen)
	e.takeTURN(now, m.TURN)
	if !first {
		e.takeLease(now, m)
		return
	}
	l.direct = directSet{}
	e.shareHop(l)
	e.publish(now)
	for _, p := range e.peers.byStatic {
		e.reroute(now, p)
	}
	e.tellRegistered(now, l)
	e.takeLease(now, m)
	e.tellReady(now)
	e.query(now, l, protocol.Query{})
}

// shareHop publishes how the data goroutines reach a supernode.
func (e *Edge) shareHop(l *link) {
	if l.session == nil {
		return
	}
	l.view.SetRoute(dataplane.HopRoute{
		Session: l.session.Crypto(), Addr: l.at, Mask: l.mask, DirectSet: len(l.direct.handles) > 0 && !l.direct.unsure,
	})
}

// tellRegistered reports a registration, and what is odd about it, once.
func (e *Edge) tellRegistered(now time.Time, l *link) {
	t := &l.told
	if !t.ready || t.lost {
		e.report(now, Event{
			Kind: EventRegistered, Supernode: l.cfg.Name, Addr: l.shownAddr(), RTT: l.ping.rtt, KeyIndex: e.sendingIndex(), Text: l.streamText(),
		})
	}
	if l.reg.otherKey > 0 && !t.wrongKey {
		t.wrongKey = true
		e.report(now, Event{Kind: EventWrongKey, Supernode: l.cfg.Name, Count: l.reg.otherKey})
	} else if l.reg.others == 0 && l.reg.otherKey == 0 && !t.alone {
		t.alone = true
		e.report(now, Event{Kind: EventAlone, Supernode: l.cfg.Name})
	}
	*t = linkTold{ready: true, wrongKey: t.wrongKey, alone: t.alone}
}

// tellReady reports once that the edge can carry frames.
func (e *Edge) tellReady(now time.Time) {
	if !e.ready {
		e.ready = true
		e.report(now, Event{Kind: EventReady, Elapsed: now.Sub(e.plane.Started())})
	}
}

func (e *Edge) sendingIndex() uint8 {
	if g := e.keys.group; g != nil {
		return g.KI()
	}
	return protocol.KINone
}

// takeLease gives the device the address that a supernode granted.
func (e *Edge) takeLease(now time.Time, m protocol.Ack) {
	if !m.Lease.IsValid() || m.Lease == e.lease {
		return
	}
	if e.lease.IsValid() {
		// Another supernode grants another address. The first one stands: an
		// address must not change under open connections.
		e.host.Log.Warn("a supernode leases another address than the one in use", "in use", e.lease, "leased", m.Lease)
		return
	}
	if m.Code == protocol.CodeIPTaken {
		e.report(now, Event{Kind: EventAddressReplaced, Prefix: m.Lease, Wanted: e.cfg.Address.Prefix, MAC: m.Holder})
	}
	e.lease = m.Lease
	e.setAddress(now, m.Lease)
	e.state.keepLease(m.Lease)
	e.report(now, Event{Kind: EventLease, Prefix: m.Lease})
}

// setAddress gives the device an address and keeps its subnet out of the
// candidates: never reach a peer through ourselves.
func (e *Edge) setAddress(now time.Time, prefix netip.Prefix) {
	if err := e.cfg.Device.SetAddress(prefix); err != nil {
		e.host.Log.Error("cannot give the device its address", "address", prefix, "err", err)
		return
	}
	e.prefixes = append(e.prefixes, prefix)
	e.addresses.forbid(now, prefix.Masked())
	for _, p := range e.peers.byStatic {
		e.introduce(p)
	}
}

// handleNak reports why a supernode refused us, and tries again later.
func (e *Edge) handleNak(now time.Time, l *link, m protocol.Nak) {
	r := &l.reg
	if !r.pending {
		return
	}
	r.retry = now.Add(max(time.Duration(m.Retry)*time.Second, 5*time.Second))
	if l.told.refused == m.Code {
		return
	}
	l.told.refused = m.Code
	switch m.Code {
	case protocol.CodeIPTaken:
		e.report(now, Event{Kind: EventAddressRefused, Supernode: l.cfg.Name, Wanted: m.Prefix, MAC: m.Holder})
		if e.cfg.Address.Mode == AddressStatic && !e.lease.IsValid() {
			e.fail(ErrAddressTaken)
		}
	case protocol.CodeMACTaken:
		e.report(now, Event{Kind: EventMACTaken, Supernode: l.cfg.Name, MAC: e.plane.Self()})
	default:
		e.report(now, Event{Kind: EventRefused, Supernode: l.cfg.Name, Err: errors.New(protocol.CodeString(m.Code))})
	}
}

// handlePeerInfo learns of another edge. The statement is the edge's own, so
// a supernode cannot invent one.
func (e *Edge) handlePeerInfo(now time.Time, l *link, m protocol.PeerInfo) {
	st, err := crypto.VerifyStatement(m.Statement)
	if err != nil || st.CID != e.cid || protocol.MAC(st.MAC) != m.MAC {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	if st.Static == e.cfg.Identity.Static {
		return
	}
	p := e.meet(now, st.Static)
	if p == nil {
		return
	}
	p.seen = now
	restarted := e.learnStatement(p, st, m.Statement, m.Features)
	e.setHandle(now, p, l, m.Handle)
	if m.Prefix.IsValid() && len(p.about.Prefixes) == 0 {
		p.about.Prefixes = []netip.Prefix{m.Prefix}
	}
	if e.dirty {
		e.publish(now)
	}
	e.releaseUnvouched(now, p)
	e.releaseStaged(now, p)
	switch {
	case p.recalled && p.sessions.none():
		// We knew it before our restart, and now there is a relay to it.
		e.endHandshake(p)
		e.initiate(now, p)
	case restarted && (p.handshake.active || !p.sessions.none()):
		// The process that had the other end of our session, or was to answer
		// our INIT, is gone. What it still sent is opened; our frames go as
		// GROUP until there is a new session.
		e.endHandshake(p)
		p.sessions.retire()
		if p.path != nil {
			p.path.Reset(now)
		}
		e.reroute(now, p)
		e.initiate(now, p)
	case e.wantedMACs.take(m.MAC), e.withheld(p):
		e.initiate(now, p)
	}
	p.recalled = false
	e.wake(p)
}

// query asks a supernode about one member, or about the latest.
func (e *Edge) query(now time.Time, l *link, q protocol.Query) {
	if !l.registered() || !e.queryBudget.take(now) {
		return
	}
	e.sendHop(l, q.Append)
}

// wantMAC asks every supernode who has a hardware address.
func (e *Edge) wantMAC(now time.Time, mac protocol.MAC) {
	if !e.wantedMACs.add(now, mac) {
		return
	}
	for _, l := range e.links {
		e.query(now, l, protocol.Query{MAC: mac})
	}
}

// askEvery is the wait for a statement before it is asked for once more.
const askEvery = time.Second

// askStatement asks for the statement of a peer that spoke first.
func (e *Edge) askStatement(now time.Time, p *peer, via *dataplane.Supernode, handle uint32, mac protocol.MAC) {
	p.askAt = now.Add(askEvery)
	if via != nil {
		e.query(now, e.links[via.ID()], protocol.Query{Handle: handle})
		return
	}
	for _, l := range e.links {
		e.query(now, l, protocol.Query{MAC: mac})
	}
}

// askAgain repeats the question, since either message may get lost, and without
// the statement nothing of the peer is delivered.
func (e *Edge) askAgain(now time.Time, p *peer) {
	p.askAt = time.Time{}
	if p.id.raw != nil || p.sessions.none() {
		return
	}
	p.askAt = now.Add(askEvery)
	for _, l := range e.links {
		if h := p.handles[l.view.ID()]; h != 0 {
			e.query(now, l, protocol.Query{Handle: h})
		}
	}
}

// keepalive returns the time between pings to a supernode, with jitter so
// that edges do not fall into step.
func (e *Edge) keepalive(now time.Time) time.Duration {
	if e.relaying(now) {
		return hopWatch
	}
	return hopKeepalive - 2*time.Second + e.jitter(4*time.Second)
}

// relaying reports whether frames to or from an active peer are relayed.
func (e *Edge) relaying(now time.Time) bool {
	for _, p := range e.peers.byStatic {
		if r := p.view.Route(); (!r.Direct.IsValid() || r.Dual) && e.active(now, p) {
			return true
		}
	}
	return false
}

// pingLink keeps a supernode's mapping open, and finds out when it is gone.
func (e *Edge) pingLink(now time.Time, l *link) {
	p := &l.ping
	if !p.sent.IsZero() {
		p.missed++
	}
	if p.missed >= hopPingsLost {
		e.lostLink(now, l)
		return
	}
	if p.missed == 0 {
		e.fill(p.nonce[:]) // repeats keep it: the answer to any of them will do
		p.sent = now
	}
	p.next = now.Add(max(hopPingRetry, 2*p.rtt))
	m := protocol.Ping{Nonce: p.nonce, Pad: pongPad}
	e.sendHop(l, m.Append)
}

func (e *Edge) handleLinkPong(now time.Time, l *link, m protocol.Pong) {
	p := &l.ping
	if p.sent.IsZero() || m.Nonce != p.nonce {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	// Of a repeated ping it is not known which one was answered; the first is
	// the safe guess, since it only makes the next ones more patient.
	p.rtt = smooth(p.rtt, now.Sub(p.sent))
	p.sent, p.missed = time.Time{}, 0
	p.next = now.Add(e.keepalive(now))
	e.addresses.observe(now, l.at, m.Seen)
}

// lostLink is called when a supernode no longer answers: frames go through
// another one if there is one, and we try to register anew.
func (e *Edge) lostLink(now time.Time, l *link) {
	l.reg.done = false
	l.ping.sent, l.ping.missed, l.ping.next = time.Time{}, 0, time.Time{}
	if !l.told.lost {
		l.told.lost = true
		e.report(now, Event{Kind: EventSupernodeLost, Supernode: l.cfg.Name, Addr: l.shownAddr()})
	}
	if l.streaming() {
		e.dropStream(l)
	}
	l.at = netip.AddrPort{}
	e.dirty = true
	for _, p := range e.peers.byStatic {
		e.reroute(now, p)
		if e.active(now, p) {
			e.findRelay(now, p)
		}
	}
	e.restartLink(now, l)
	if l.stream.conn != nil { // it was made ready when the first pings got lost
		e.beginOver(now, l, l.stream.side)
	}
	e.resolve(now, l) // its name may stand for another host by now
}

// findRelay asks the supernodes that answer about a peer that only others know
// to be theirs: it may have come to them after we asked last.
func (e *Edge) findRelay(now time.Time, p *peer) {
	if e.relayed(p) {
		return
	}
	for _, l := range e.links {
		if l.registered() && p.handles[l.view.ID()] == 0 {
			e.query(now, l, protocol.Query{MAC: p.view.MAC()})
		}
	}
}
