package edge

import (
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/internal/bucket"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// CALL, CALLACK and GO (docs/NAT.md): through a supernode or an introducer two edges
// tell each other how their NATs choose ports, and agree on a moment from which both
// try what plain probes cannot.
const (
	callRate       = 5 // CALLs of all peers that are answered a second
	callBurst      = 10
	pairCall       = 0.5 // CALLs of one peer that are answered a second
	pairBurst      = 3   // the repeats of one call
	goLead         = 20 * time.Millisecond
	callWait       = 3 * time.Second // a CALLACK counts within this time
	maxOneWayDelay = time.Second     // half of a round trip that is believed
)

// punching arranges with peers when both ends open their NATs.
type punching struct {
	peers       *peers
	pairs       pairSender
	hops        hopSender
	supernodes  supernodes
	introducers *introducers
	underlay    *underlay.Underlay
	refusals    *refusals
	answers     bucket.Limiter // CALLs of all peers that are answered
	log         *slog.Logger
	epoch       time.Time // where the milliseconds of CALLs begin
}

// ask asks a supernode for a PUNCH, and the peer itself by a CALL: both ends are to
// begin at one moment.
func (u *punching) ask(now time.Time, p *peer) {
	if p.place.hidden {
		return // it would learn where we are
	}
	u.log.Debug("asking for a punch", "peer", p)
	if s := u.supernodes.relayFor(p); s != nil && s.registered() {
		m := protocol.Punch{Handle: p.handles[s.view.ID()]}
		u.hops.send(s, m.Append)
	}
	u.call(now, p)
}

// portServer returns the IPv4 address of a supernode that can be asked how our
// NATs choose ports; not valid: there is none.
func (u *punching) portServer() netip.AddrPort {
	for _, s := range u.supernodes {
		if s.registered() && s.hop.at.Addr().Is4() {
			return s.hop.at
		}
	}
	return netip.AddrPort{}
}

// handlePunch begins an attempt when a supernode says so.
func (u *punching) handlePunch(now time.Time, s *supernode, m protocol.Punch) {
	p := u.peers.handled(s.id(), m.Handle)
	if p == nil || p.reach.path == nil || p.place.hidden {
		u.refusals.note(refusedPunch, s, "handle", m.Handle)
		return
	}
	u.log.Debug("punch", "peer", p, "seen", m.Seen, "delay", m.Delay)
	p.reach.path.Punch(now, m.Seen, m.Delay, besideSupernode(s.hop.at, m.Seen)...)
	u.peers.mark(p)
}

// besideSupernode returns where a peer may be that a supernode sees at a private address:
// behind the NAT that the supernode is behind as well, whose port was forwarded. Many NATs
// keep the port. What answers from there tells the peer its public address.
func besideSupernode(at, seen netip.AddrPort) []netip.AddrPort {
	if !at.Addr().Is4() || !address.Public(at.Addr()) || !seen.Addr().Is4() || address.Public(seen.Addr()) {
		return nil
	}
	return []netip.AddrPort{netip.AddrPortFrom(at.Addr(), seen.Port())}
}

// call tells a peer how our NATs choose ports, and asks for the same.
func (u *punching) call(now time.Time, p *peer) {
	if !u.underlay.Sockets.Possible() {
		return
	}
	u.underlay.Ports.Pattern(now, u.portServer(), func(now time.Time, mine address.Pattern) {
		c := &p.reach.call
		c.mine, c.stamp, c.sent = mine, uint32(now.Sub(u.epoch).Milliseconds()), now
		m := u.describe(c.stamp, mine)
		u.send(p, m.Append)
	})
}

// describe returns what a CALL says of its sender.
func (u *punching) describe(stamp uint32, mine address.Pattern) protocol.Call {
	list := u.underlay.Addresses.Candidates()
	return protocol.Call{Gen: list.Gen, List: list.List, Sent: stamp, Mapping: uint8(mine.Mapping), Ports: mine.Ports}
}

// send sends a peer what arranges a direct path, through a supernode or an introducer.
func (u *punching) send(p *peer, build func([]byte) []byte) {
	if r := u.introducers.routeTo(p); r != nil {
		u.pairs.sendBy(p, r, 0, build)
	}
}

// learn notes what a peer says of its addresses and of its NATs.
func (u *punching) learn(now time.Time, p *peer, m *protocol.Call) {
	p.reach.setCandidates(now, protocol.Candidates{Gen: m.Gen, List: m.List})
	mapping := address.MappingBehavior(min(m.Mapping, uint8(address.MappingAddressAndPortDependent)))
	p.reach.call.theirs = address.Pattern{Mapping: mapping, Ports: m.Ports}
	p.reach.call.heard = now
	u.peers.mark(p)
}

// handleCall answers a CALL with the same about ourselves.
func (u *punching) handleCall(now time.Time, p *peer, m protocol.Call) {
	switch {
	case p.reach.path == nil || !u.underlay.Sockets.Possible():
		u.refusals.note(refusedCallUseless, p)
		return
	case !p.reach.call.answer.Take(now, 1, pairCall, pairBurst):
		u.refusals.note(refusedCallRate, p)
		return
	case !u.answers.Take(now):
		u.refusals.note(refusedCallsRate, p)
		return
	}
	u.learn(now, p, &m)
	u.underlay.Ports.Pattern(now, u.portServer(), func(_ time.Time, mine address.Pattern) {
		p.reach.call.mine = mine
		answer := protocol.CallAck{Echo: m.Sent, Call: u.describe(0, mine)}
		u.send(p, answer.Append)
	})
}

// handleCallAck learns from the answer to our CALL, and says when both begin.
func (u *punching) handleCallAck(now time.Time, p *peer, m protocol.CallAck) {
	c := &p.reach.call
	if c.sent.IsZero() || m.Echo != c.stamp || now.Sub(c.sent) > callWait || p.reach.path == nil {
		u.refusals.note(refusedCallAck, p)
		return
	}
	delay := min(now.Sub(c.sent)/2, maxOneWayDelay)
	c.sent = time.Time{}
	u.learn(now, p, &m.Call)
	answer := protocol.Go{Gen: m.Gen, Delay: goLead}
	u.send(p, answer.Append)
	u.agree(now, p, now.Add(delay+goLead))
}

// handleGo begins when the peer does.
func (u *punching) handleGo(now time.Time, p *peer, m protocol.Go) {
	if p.reach.path == nil || now.Sub(p.reach.call.heard) > callWait {
		u.refusals.note(refusedGo, p)
		return
	}
	u.agree(now, p, now.Add(min(m.Delay, maxOneWayDelay)))
}

// agree hands a peer's path the moment at which both ends begin.
func (u *punching) agree(now time.Time, p *peer, start time.Time) {
	u.log.Debug("agreed on a start", "peer", p, "ours", p.reach.call.mine, "theirs", p.reach.call.theirs, "in", start.Sub(now))
	if !u.supernodes.relays(p) {
		p.reach.path.Agreed(now, start) // nobody sends a PUNCH
	}
	p.reach.path.Arrange(now, start, p.reach.call.mine, p.reach.call.theirs)
	u.peers.mark(p)
}
