package edge

import (
	"fmt"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// handleEvent hands one thing that the queues told to the owner that it concerns.
func (e *Edge) handleEvent(now time.Time, ev dataplane.Event) {
	switch ev := ev.(type) {
	case dataplane.PairMessages:
		e.handlePair(now, ev)
	case dataplane.Confirmed:
		e.withPeer(ev.Peer, func(p *peer) { e.sessions.confirm(now, p, ev.Session, ev.Origin) })
	case dataplane.Roamed:
		e.withPeer(ev.Peer, func(p *peer) { e.paths.routing.heard(now, p, ev.Origin) })
	case dataplane.Needed:
		e.withPeer(ev.Peer, func(p *peer) { e.needed(now, p) })
	case dataplane.Staged:
		e.withPeer(ev.Peer, func(p *peer) { e.sessions.staged.add(now, p, ev.Frame); e.needed(now, p) })
	case dataplane.MACWanted:
		e.servers.directory.askMAC(now, ev.MAC)
	case dataplane.Unvouched:
		if e.sessions.handleUnvouched(now, ev) {
			e.servers.directory.askSender(now, ev.Origin)
		}
	case dataplane.HopPacket:
		e.handleHop(now, ev)
	case dataplane.HandshakeAnswer:
		e.handleAnswer(now, ev)
	case dataplane.InitReceived:
		e.sessions.handleInit(now, ev)
	case dataplane.STUNReceived:
		e.underlay.STUN.Answered(now, ev.Addr, ev.Packet)
	case dataplane.Forwardable:
		e.paths.introducers.send(ev)
	case dataplane.EpochLearned:
		e.keys.learn(now, ev.KI)
	case dataplane.Recursion:
		e.user.recursion.found(now, ev.Own)
		if ev.Own { // it came out of the device: the paths to its address are given up
			e.user.recursion.noticed(now, ev.To, e.user.describer.whoIsAt(ev.To))
			e.paths.routing.sendFailed(now, dataplane.SendRefused{Addr: ev.To})
		}
	case dataplane.SendRefused:
		e.paths.routing.sendFailed(now, ev)
		e.servers.list.sendFailed(ev)
	default:
		handleEthernet(e, now, ev)
	}
}

// handleEthernet is handleEvent for what concerns hosts and their LANs.
func handleEthernet(e *Edge, now time.Time, ev dataplane.Event) {
	switch ev := ev.(type) {
	case dataplane.ProbeHeard:
		e.paths.segment.heard(now, ev.Frame)
	case dataplane.TopologyChanged:
		e.data.plane.ForgetHostsBut(ev.From)
	case dataplane.Violation:
		if ev.Peer == nil {
			e.data.guard.caught(now, nil, ev)
		} else {
			e.withPeer(ev.Peer, func(p *peer) { e.data.guard.caught(now, p, ev) })
		}
	case dataplane.StationsDue:
		e.data.stations.due(now)
	case dataplane.StationSought:
		e.data.stations.seek(now, ev)
	case dataplane.GroupsDue:
		e.data.listeners.due(now)
	default:
		panic(fmt.Sprintf("edge: no handler for %T", ev))
	}
}

// withPeer calls f with the peer of a view, marked, unless it was forgotten
// meanwhile.
func (e *Edge) withPeer(v *dataplane.Peer, f func(p *peer)) {
	if p := e.peers.viewed(v); p != nil {
		f(p)
	} else {
		e.user.refusals.note(refusedPeerGone, nil)
	}
}

// needed is called when frames go to or come from a peer: it should have a session,
// and its relayed path is watched.
func (e *Edge) needed(now time.Time, p *peer) {
	e.sessions.needed(now, p)
	e.paths.routing.needed(now, p)
	e.servers.directory.find(now, p)
}

// handleAnswer hands an answer to a handshake to whoever waits for it.
func (e *Edge) handleAnswer(now time.Time, ev dataplane.HandshakeAnswer) {
	h, err := protocol.ParseHeader(ev.Packet)
	switch {
	case err != nil:
		e.user.refusals.note(refusedHeader, nil, "from", ev.Origin)
	case ev.Origin.Supernode != nil && ev.Origin.Handle == 0 && (h.XF == protocol.XFHop || h.Type == protocol.TypeReset || h.Type == protocol.TypeWelcome):
		e.servers.connector.handleAnswer(now, h, ev)
	case h.Type == protocol.TypeResp, h.Type == protocol.TypeCookie, h.Type == protocol.TypeNotice:
		e.sessions.handleAnswer(now, h, ev)
	default:
		e.user.refusals.note(refusedAnswer, nil, "from", ev.Origin)
	}
}

// eachMessage calls f with every message of a control body, until one cannot be
// read.
func eachMessage(body []byte, f func(typ protocol.MsgType, value []byte) error) error {
	for len(body) > 0 {
		typ, value, rest, err := protocol.NextTLV(body)
		if err == nil {
			err = f(protocol.MsgType(typ), value)
		}
		if err != nil {
			return err
		}
		body = rest
	}
	return nil
}

// handlePair acts on the control messages of a peer's packet.
func (e *Edge) handlePair(now time.Time, ev dataplane.PairMessages) {
	e.withPeer(ev.Peer, func(p *peer) {
		if e.sessions.confirm(now, p, ev.Session, ev.Origin); p.gone {
			return
		}
		p.seen = now
		e.paths.routing.noteAsked(p, ev.Origin)
		answered := false // a packet has one answer at most: its source may be forged
		err := eachMessage(ev.Messages, func(typ protocol.MsgType, value []byte) error {
			if typ == protocol.MsgPing {
				if answered {
					e.user.refusals.note(refusedPingMany, p)
					return nil
				}
				answered = true
			}
			return e.handlePairMessage(now, p, typ, value, ev)
		})
		if err != nil {
			e.user.refusals.note(refusedPairMessage, p, "err", err)
		}
	})
}

func (e *Edge) handlePairMessage(now time.Time, p *peer, typ protocol.MsgType, value []byte, ev dataplane.PairMessages) error {
	if why := e.self.isolation.unheard(p, typ); why != "" {
		e.user.refusals.note(why, p)
		return nil
	}
	switch typ {
	case protocol.MsgPing:
		return parsed(value, protocol.ParsePing, func(m protocol.Ping) { e.paths.routing.pong(now, p, m, ev) })
	case protocol.MsgPong:
		return parsed(value, protocol.ParsePong, func(m protocol.Pong) {
			if !e.user.echoes.answered(now, p, m.Nonce, ev.Origin) {
				e.paths.routing.handlePong(now, p, m, ev.Origin)
			}
		})
	case protocol.MsgCand:
		return parsed(value, protocol.ParseCandidates, func(m protocol.Candidates) { e.paths.routing.setCandidates(now, p, m) })
	case protocol.MsgCall:
		return parsed(value, protocol.ParseCall, func(m protocol.Call) { e.paths.punching.handleCall(now, p, m) })
	case protocol.MsgCallAck:
		return parsed(value, protocol.ParseCallAck, func(m protocol.CallAck) { e.paths.punching.handleCallAck(now, p, m) })
	case protocol.MsgGo:
		return parsed(value, protocol.ParseGo, func(m protocol.Go) { e.paths.punching.handleGo(now, p, m) })
	case protocol.MsgSalt:
		return parsed(value, protocol.ParseSalt, func(m protocol.Salt) { e.sessions.learnSalt(now, p, m) })
	case protocol.MsgAbout:
		return parsed(value, protocol.ParseAbout, func(m protocol.About) { p.about, p.identity.addresses = m, m.Prefixes })
	case protocol.MsgStatement:
		return parsed(value, protocol.ParseStatement, func(m protocol.Statement) { e.servers.directory.handleStatement(now, p, m) })
	case protocol.MsgSegment:
		return parsed(value, protocol.ParseSegment, func(m protocol.Segment) { e.paths.successions.handle(now, p, m) })
	case protocol.MsgForward:
		return parsed(value, protocol.ParseForward, func(m protocol.Forward) { e.paths.introducers.handleForward(now, p, m, ev.Origin) })
	case protocol.MsgForwarded:
		return parsed(value, protocol.ParseForwarded, func(m protocol.Forwarded) { e.paths.introducers.handleForwarded(now, p, m, ev.Origin) })
	case protocol.MsgHostAsk:
		return parsed(value, protocol.ParseHostAsk, func(m protocol.HostAsk) { e.data.stations.handleAsk(now, p, m) })
	case protocol.MsgHostIs:
		return parsed(value, protocol.ParseHostIs, func(m protocol.HostIs) { e.data.stations.handleAnswer(now, p, m) })
	case protocol.MsgRoutes:
		return parsed(value, protocol.ParseRoutes, func(m protocol.Routes) { e.paths.subnets.handle(now, p, m) })
	case protocol.MsgClose:
		return parsed(value, protocol.ParseClose, func(m protocol.Close) {
			p.identity.listing.shut = m.Reason == protocol.CloseRevoked
			e.sessions.closed(p)
		})
	}
	return e.data.lists.message(now, p, typ, value)
}

// handleHop acts on the control messages of a supernode's packet.
func (e *Edge) handleHop(now time.Time, ev dataplane.HopPacket) {
	s, messages, current := e.servers.connector.openHop(ev)
	err := eachMessage(messages, func(typ protocol.MsgType, value []byte) error {
		if !current && (typ == protocol.MsgAck || typ == protocol.MsgNak) {
			e.user.refusals.note(refusedOldSession, s)
			return nil
		}
		if typ == protocol.MsgRotate {
			return parsed(value, protocol.ParseRotate, func(m protocol.Rotate) { e.servers.connector.locator.rotations.handle(now, s, m, current) })
		}
		return e.handleHopMessage(now, s, typ, value, ev)
	})
	if err != nil {
		e.user.refusals.note(refusedHopMessage, s, "err", err)
	}
}

func (e *Edge) handleHopMessage(now time.Time, s *supernode, typ protocol.MsgType, value []byte, ev dataplane.HopPacket) error {
	switch typ {
	case protocol.MsgPing:
		return parsed(value, protocol.ParsePing, func(m protocol.Ping) { e.servers.registrar.pong(s, m, ev.Origin.Addr) })
	case protocol.MsgPong:
		return parsed(value, protocol.ParsePong, func(m protocol.Pong) { e.servers.registrar.handlePong(now, s, m) })
	case protocol.MsgAck:
		return parsed(value, protocol.ParseAck, func(m protocol.Ack) { e.servers.registrar.handleAck(now, s, m) })
	case protocol.MsgNak:
		return parsed(value, protocol.ParseNak, func(m protocol.Nak) { e.servers.registrar.handleNak(now, s, m) })
	case protocol.MsgPeerInfo:
		return parsed(value, protocol.ParsePeerInfo, func(m protocol.PeerInfo) { e.servers.directory.handlePeerInfo(now, s, m) })
	case protocol.MsgLimited:
		return parsed(value, protocol.ParseLimited, func(m protocol.Limited) { e.user.limits.handle(now, s, m) })
	case protocol.MsgPunch:
		return parsed(value, protocol.ParsePunch, func(m protocol.Punch) { e.paths.punching.handlePunch(now, s, m) })
	case protocol.MsgRedirect:
		return parsed(value, protocol.ParseRedirect, func(m protocol.Redirect) { e.servers.connector.locator.pointers.handle(now, s, m) })
	}
	return e.servers.lists.message(now, s, typ, value)
}
