package edge

import (
	"net/netip"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/nat/path"
	"hedgerow/nat/trains"
	"hedgerow/protocol"
)

// How the relayed path of a peer in use is watched.
const (
	relayPingIn    = 5 * time.Second        // between pings over the relayed path
	relayPingFirst = 250 * time.Millisecond // after a session began
	relayPingRetry = time.Second            // after a ping without an answer
	relayPingsLost = 3                      // then the session seems to be one-sided
)

// startRelayProbe begins to measure the relayed path of a new session.
func (r *routing) startRelayProbe(now time.Time, p *peer) {
	p.reach.relay.ping.forget()
	p.reach.relay.silent = false
	p.reach.relay.timer.Set(now.Add(relayPingFirst))
}

// pingRelay measures the relayed path of a peer in use, and repeats our salts
// on it in case their first message was lost. It is also what confirms a
// session to its responder when that message was.
func (r *routing) pingRelay(now time.Time, p *peer) {
	probe := &p.reach.relay
	by := p.view.Route()
	if by.Session == nil || by.Supernode == nil || (probe.ping.rtt != 0 && !r.peers.active(now, p) && by.Session.Confirmed()) {
		return
	}
	next := relayPingIn
	if p.reach.lossy() {
		next = lossyWatch
	}
	if !probe.ping.sent.IsZero() {
		probe.loss.Add(false)
		next = relayPingRetry
		if probe.ping.missed++; probe.ping.missed >= relayPingsLost {
			// Perhaps the peer never heard the end of the handshake, or has
			// forgotten the session: another one tells.
			probe.ping.missed, probe.oneSided, probe.silent = 0, true, true
		}
	}
	probe.timer.Set(now.Add(next))
	probe.ping.sent = now
	r.random.fill(probe.ping.nonce[:])
	by.Direct = netip.AddrPort{}
	m := protocol.Ping{Nonce: probe.ping.nonce, Pad: r.pairs.out.PingPad()}
	r.pairs.sendBy(p, &by, 0, func(b []byte) []byte { return r.keys.appendSalts(m.Append(b)) })
}

// pong answers a peer's ping by the path on which it came. Where that is an address,
// it may be forged, although the peer is not: so the pong is one packet, no longer than
// the ping, and goes in pieces as the ping did only to an address that has answered us,
// since all pieces of the ping but the last may have come from elsewhere.
func (r *routing) pong(now time.Time, p *peer, m protocol.Ping, ev dataplane.PairMessages) {
	session := p.sessions.sealing()
	if session == nil {
		return
	}
	direct := ev.Origin.Supernode == nil
	switch {
	case protocol.PongRoom(m, ev.Origin.Addr) < 0:
		r.refusals.note(refusedPingShort, p, "from", ev.Origin)
		return
	case ev.InPieces && direct && (p.reach.path == nil || !p.reach.path.Remotes().Proven(now, ev.Origin.Addr)):
		r.refusals.note(refusedPingUnproven, p, "from", ev.Origin)
		return
	}
	answer := m.Pong(ev.Origin.Addr)
	answer.Highest, answer.Received = session.Received()
	to := p.view.Route()
	if back := ev.Origin.Route(); ev.InPieces {
		r.pairs.sendFragmented(p, back, to.LeastInner(), answer.Append)
	} else {
		r.pairs.sendBy(p, &back, 0, answer.Append)
	}
	if direct && p.reach.path != nil && !p.place.keepsSession() { // of others it need not be known so soon that they are gone
		path.Asked(p.reach.path, now, ev.Origin.Addr)
	}
}

// handlePong acts on a peer's answer to a ping of the direct path, of the relayed path
// or of its size.
func (r *routing) handlePong(now time.Time, p *peer, m protocol.Pong, from dataplane.Origin) {
	probe := &p.reach.relay
	if from.Supernode == nil {
		if p.reach.quality.trains.answered(m.Nonce) {
			r.peers.mark(p)
			return
		}
		if p.reach.path != nil && p.reach.path.Pong(now, m.Nonce, from.Addr, m.Seen) {
			r.underlay.Addresses.ObservedByPeer(now, from.Addr, m.Seen)
		} else {
			r.refusals.note(refusedPathPong, p, "from", from.Addr)
		}
	} else if size, ok := probe.size.answered(m.Nonce); ok {
		probe.size.mtu.Answered(now, size)
	} else if probe.ping.waits(m.Nonce) {
		probe.ping.answered(now)
		probe.silent, probe.unheard = false, time.Time{}
		probe.loss.Add(true)
		probe.size.mtu.Answered(now, 0)
	} else {
		r.refusals.note(refusedRelayPong, p, "supernode", r.supernodes.name(from.Supernode))
	}
	r.peers.mark(p)
}

// answered reports whether a pong answers one of the pings, and notes it then.
func (t *trainPings) answered(nonce [8]byte) bool {
	number := nonce[7]
	nonce[7] = 0
	if nonce != t.nonce || number >= trains.Count || t.waits&(1<<number) == 0 {
		return false
	}
	t.waits &^= 1 << number
	t.Answered()
	return true
}

// pollRelaySize sends the pings that the size of a peer's relayed path asks for.
func (r *routing) pollRelaySize(now time.Time, p *peer) {
	s, by := &p.reach.relay.size, p.view.Route()
	relayed := by.Session != nil && by.Supernode != nil && !by.OnlyDirect() && r.peers.active(now, p)
	timeout := max(relayTimeout, 3*p.reach.relay.ping.rtt)
	by.Direct = netip.AddrPort{}
	before := s.limit()
	for _, size := range s.mtu.Poll(now, timeout, relayed) {
		m := protocol.Ping{Nonce: r.random.nonce(), Pad: max(protocol.MinPingPad, size-relayIPLen-protocol.RelayOverhead-protocol.PingDatagramLen)}
		s.sent(m.Nonce, size)
		r.pairs.sendBy(p, &by, 0, m.Append)
	}
	if limit := s.limit(); limit < before {
		r.log.Info("the relayed path loses large packets, frames are cut for it", "peer", p, "datagram", limit)
	}
}
