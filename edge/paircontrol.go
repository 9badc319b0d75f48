package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/address"
	"hedgerow/nat/path"
	"hedgerow/protocol"
)

// sendPair sends control messages to a peer inside its session, by the route
// that its frames take. build appends the messages.
func (e *Edge) sendPair(p *peer, build func([]byte) []byte) {
	r := p.view.Route()
	e.sendControl(p, &r, 0, build)
}

// sendControl sends control messages inside a peer's session by any route.
func (e *Edge) sendControl(p *peer, r *dataplane.Route, ttl uint8, build func([]byte) []byte) {
	if session := p.sessions.sealing(); session != nil {
		e.send.SealControl(session, r, ttl, build)
	}
}

// sendLong sends control messages inside a peer's session by any route, in pieces
// if their inner is longer than limit bytes. It returns how many packets they
// became.
func (e *Edge) sendLong(p *peer, r dataplane.Route, limit int, build func([]byte) []byte) int {
	if r.Session = p.sessions.sealing(); r.Session == nil {
		return 0
	}
	inner := build(protocol.AppendControl(nil))
	if len(inner) <= limit {
		return e.send.SealOne(r.Session, &r, 0, inner)
	}
	return e.send.SealPieces(&r, inner, limit)
}

// introduce sends a peer what it needs at the start of a session: the salts
// that we vouch for, who we are, and where we may be reached.
func (e *Edge) introduce(p *peer) {
	r := p.view.Route()
	r.Dual = true
	if other := e.callRoute(p); other != nil && !r.Direct.IsValid() {
		r.Direct = other.Direct
	}
	e.sendControl(p, &r, 0, func(b []byte) []byte {
		b = appendSalts(b, e.keys.salts())
		about := protocol.About{Name: e.cfg.Name, Prefixes: e.prefixes}
		b = about.Append(b)
		c := e.addresses.candidates()
		return c.Append(b)
	})
}

// handlePair acts on the control body of a peer's packet.
func (e *Edge) handlePair(now time.Time, ev dataplane.PairMessages) {
	p := e.peers.byView[ev.Peer]
	if p == nil {
		return
	}
	p.seen = now
	for rest := ev.Messages; len(rest) > 0; {
		typ, value, after, err := protocol.NextTLV(rest)
		if err != nil {
			e.drops.Drop(dataplane.DropControl)
			return
		}
		rest = after
		if err := e.handlePairMessage(now, p, protocol.MsgType(typ), value, ev); err != nil {
			e.drops.Drop(dataplane.DropControl)
			return
		}
	}
	e.wake(p)
}

func (e *Edge) handlePairMessage(now time.Time, p *peer, typ protocol.MsgType, value []byte, ev dataplane.PairMessages) error {
	switch typ {
	case protocol.MsgPing:
		return take(value, protocol.ParsePing, func(m protocol.Ping) { e.pong(p, m, ev) })
	case protocol.MsgPong:
		return take(value, protocol.ParsePong, func(m protocol.Pong) { e.handlePong(now, p, m, ev.Origin) })
	case protocol.MsgCand:
		return take(value, protocol.ParseCandidates, func(m protocol.Candidates) { e.handleCandidates(now, p, m) })
	case protocol.MsgCall:
		return take(value, protocol.ParseCall, func(m protocol.Call) { e.handleCall(now, p, m) })
	case protocol.MsgCallAck:
		return take(value, protocol.ParseCallAck, func(m protocol.CallAck) { e.handleCallAck(now, p, m) })
	case protocol.MsgGo:
		return take(value, protocol.ParseGo, func(m protocol.Go) { e.handleGo(now, p, m) })
	case protocol.MsgSalt:
		return take(value, protocol.ParseSalt, func(m protocol.Salt) {
			e.plane.Groups().Vouch(e.plane.Wall(now), p.view.Static(), m.KI, uint8(m.XF), m.Salt)
			e.releaseUnvouched(now, p)
		})
	case protocol.MsgAbout:
		return take(value, protocol.ParseAbout, func(m protocol.About) { p.about = m })
	case protocol.MsgForward:
		return take(value, protocol.ParseForward, func(m protocol.Forward) { e.handOn(now, p, m, ev.Origin) })
	case protocol.MsgForwarded:
		return take(value, protocol.ParseForwarded, func(m protocol.Forwarded) { e.takeForwarded(now, p, m, ev.Origin) })
	case protocol.MsgClose:
		e.closePeer(now, p)
	}
	return nil
}

// take hands on what a message says, if it can be read.
func take[T any](value []byte, parse func([]byte) (T, error), f func(T)) error {
	m, err := parse(value)
	if err == nil {
		f(m)
	}
	return err
}

// pong answers a ping over the way it came by. It is as long as the ping, so
// that nobody is made to send more than he was sent, and goes in pieces if the
// ping came so.
func (e *Edge) pong(p *peer, m protocol.Ping, ev dataplane.PairMessages) {
	session := p.sessions.sealing()
	if session == nil {
		return
	}
	highest, received := session.Received()
	answer := protocol.Pong{
		Nonce: m.Nonce, Seen: ev.Origin.Addr, Highest: highest, Received: received, Pad: max(protocol.PongRoom(m, ev.Origin.Addr), 0),
	}
	if back := routeBack(ev.Origin); ev.InPieces {
		r := p.view.Route()
		e.sendLong(p, *back, r.LeastInner(), answer.Append)
	} else {
		e.sendControl(p, back, 0, answer.Append)
	}
}

func (e *Edge) handlePong(now time.Time, p *peer, m protocol.Pong, from dataplane.Origin) {
	if e.takeEcho(now, p, m.Nonce, from) {
		return
	}
	if from.Supernode == nil {
		if p.path != nil && p.path.Pong(now, m.Nonce, from.Addr, m.Seen) {
			e.addresses.observePeer(now, from.Addr, m.Seen)
			e.pollPath(now, p)
			e.reroute(now, p)
		}
		return
	}
	if size, ok := p.relaySize.take(m.Nonce); ok {
		p.relaySize.mtu.Answered(now, size)
		e.pollRelaySize(now, p)
		return
	}
	ping := &p.relayPing
	if ping.sent.IsZero() || ping.nonce != m.Nonce {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	ping.rtt = smooth(ping.rtt, now.Sub(ping.sent))
	ping.sent, ping.missed = time.Time{}, 0
	p.relayLoss.Add(true)
	p.relaySize.mtu.Answered(now, 0)
	e.announce(now, p)
}

// smooth is the smoothed round-trip time of RFC 6298, section 2.
func smooth(srtt, sample time.Duration) time.Duration {
	if srtt == 0 {
		return max(sample, 1)
	}
	return srtt + (sample-srtt)/8
}

// pongPad is the least padding of a ping: with it the pong, which names an
// IPv6 address, is not longer.
const pongPad = 26

// pingRelay measures the relayed path of a peer in use, and repeats our salts
// on it in case their first message was lost. It is also what confirms a
// session to its responder when that message was.
func (e *Edge) pingRelay(now time.Time, p *peer) {
	ping := &p.relayPing
	ping.next = time.Time{}
	r := p.view.Route()
	if r.Supernode == nil || (ping.rtt != 0 && !e.active(now, p) && r.Session != nil && r.Session.Confirmed()) {
		return
	}
	ping.next = now.Add(relayPingIn)
	if p.lossy() {
		ping.next = now.Add(lossyWatch)
	}
	if !ping.sent.IsZero() {
		p.relayLoss.Add(false)
		e.judge(now, p)
		ping.next = now.Add(relayPingRetry)
		if ping.missed++; ping.missed >= relayPingsLost {
			// Perhaps the peer never heard the end of the handshake, or has
			// forgotten the session: another one tells.
			ping.missed = 0
			e.initiate(now, p)
		}
	}
	ping.sent = now
	e.fill(ping.nonce[:])
	r.Direct = netip.AddrPort{}
	m := protocol.Ping{Nonce: ping.nonce, Pad: pongPad}
	e.sendControl(p, &r, 0, func(b []byte) []byte { return appendSalts(m.Append(b), e.keys.salts()) })
}

func (e *Edge) handleCandidates(now time.Time, p *peer, m protocol.Candidates) {
	if p.path == nil {
		return
	}
	list := make([]address.Candidate, 0, len(m.List))
	for _, c := range m.List {
		list = append(list, address.Candidate{Kind: address.CandidateKind(c.Kind), Addr: c.Addr})
	}
	e.host.Log.Debug("candidates", "peer", p.about.Name, "generation", m.Gen, "list", list)
	p.path.SetCandidates(now, m.Gen, list)
	e.pollPath(now, p)
}

// closePeer ends the sessions with a peer that said good-bye.
func (e *Edge) closePeer(now time.Time, p *peer) {
	if p.sessions.none() {
		return
	}
	p.sessions = sessions{}
	e.endHandshake(p)
	for i := range e.links {
		e.setHandle(now, p, e.links[i], 0)
	}
	e.dirty = true
	e.lostSession(now, p)
}

// startPath gives a peer with a session the machine that looks for a direct
// path.
func (e *Edge) startPath(now time.Time, p *peer) {
	if p.path == nil {
		p.path = path.New(&e.addresses.policy, e.addresses.budget, e.random)
	}
	p.relayPing.sent, p.relayPing.missed = time.Time{}, 0
	p.relayPing.next = now.Add(relayPingFirst)
	e.tryNearby(now, p)
}

// pollPath sends what a peer's path machine asks for and takes over its
// route.
func (e *Edge) pollPath(now time.Time, p *peer) {
	if p.path == nil || p.sessions.sealing() == nil {
		return
	}
	if e.active(now, p) {
		p.path.Used(now)
	} else if e.alone() {
		p.path.Keep(now) // others may need us between them
	}
	out := p.path.Poll(now)
	for _, t := range out.Transitions {
		e.host.Log.Debug("path", "peer", p.about.Name, "from", t.From, "to", t.To, "why", t.Why)
	}
	for _, probe := range out.Probes {
		if probe.Socket > 0 {
			e.fanOut(p, probe)
			continue
		}
		m := protocol.Ping{Nonce: probe.Nonce, Gen: probe.Gen, Path: probe.Path, Pad: max(probe.Pad, pongPad)}
		r := &dataplane.Route{Direct: probe.To}
		e.sendControl(p, r, probe.TTL, m.Append)
	}
	if out.WantPunch {
		e.host.Log.Debug("asking for a punch", "peer", p.about.Name)
		e.askPunch(p)
		e.callPeer(now, p)
	}
	e.trimFan(p)
	if out.Changed {
		e.reroute(now, p)
	}
	e.judge(now, p)
}

// askPunch asks a supernode to make both ends send at the same time.
func (e *Edge) askPunch(p *peer) {
	for _, l := range e.links {
		if h := p.handles[l.view.ID()]; h != 0 && l.registered() {
			m := protocol.Punch{Handle: h}
			e.sendHop(l, m.Append)
			return
		}
	}
}

// reroute publishes how frames to a peer travel now.
func (e *Edge) reroute(now time.Time, p *peer) {
	r := &dataplane.Route{Session: p.sessions.sealing(), Limit: dataplane.MaxDatagramIPv4}
	r.Partial = r.Session != nil && p.sessions.current.Partial()
	if p.path != nil {
		pr := p.path.Route()
		r.Direct = pr.Direct
		r.Dual = pr.Relay && !(e.cfg.NoRelay && pr.Direct.IsValid())
		if r.Direct.IsValid() && r.Direct.Addr().Is6() {
			r.Limit = dataplane.MaxDatagramIPv6
		}
		if pr.MTU > 0 {
			r.Limit = min(r.Limit, pr.Payload())
		}
	}
	if l := e.relayFor(p); l != nil {
		r.Supernode, r.Handle = l.view, p.handles[l.view.ID()]
	}
	if p.avoids() && r.Supernode != nil {
		r.Direct, r.Dual = netip.AddrPort{}, true
	}
	old := p.view.Route()
	if r.Supernode != old.Supernode {
		p.relaySize, p.relayLoss = newRelaySize(), path.Loss{}
	}
	r.RelayLimit = p.relaySize.limit()
	if old == *r {
		return
	}
	if old.OnlyDirect() && !r.OnlyDirect() {
		e.doubtDirect()
	}
	if r.Direct == old.Direct && r.Limit < old.Limit {
		e.host.Log.Info("the direct path loses large packets, frames are cut for it", "peer", p.about.Name, "datagram", r.Limit)
	}
	p.view.SetRoute(*r)
	if r.NextHop() != old.NextHop() {
		p.since = now
	}
	if r.Session != nil && (r.Direct.IsValid() && !old.Direct.IsValid() || r.Supernode != nil && old.Supernode == nil) {
		// What was said at the start of the session may have found no way, or got
		// lost on it.
		e.introduce(p)
	}
	if e.cfg.NoRelay && r.Direct.IsValid() {
		e.releaseStagedIfReady(now, p)
	}
	if (r.Session == nil) != (old.Session == nil) || r.LeastPacket() != old.LeastPacket() {
		e.sizeGroup()
	}
	e.directChanged = true
	e.announce(now, p)
}

// relayFor returns the best supernode that knows a peer, or nil.
func (e *Edge) relayFor(p *peer) *link {
	var best *link
	for _, l := range e.links {
		if p.handles[l.view.ID()] == 0 || l.session == nil {
			continue
		}
		if best == nil || (l.registered() && !best.registered()) {
			best = l
		}
	}
	return best
}

// relayed reports whether a supernode that has us registered knows a peer.
func (e *Edge) relayed(p *peer) bool {
	l := e.relayFor(p)
	return l != nil && l.registered()
}
