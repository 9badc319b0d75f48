package edge

import (
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/internal/bucket"
	"hedgerow/nat/address"
	"hedgerow/protocol"
)

// CALL, CALLACK and GO (docs/NAT.md): two edges tell each other, not directly, how
// their NATs choose ports, and agree on a moment from which both try what plain
// probes cannot.
const (
	callRate   = 5 // CALLs that are answered a second, of all peers
	callBurst  = 10
	pairCall   = 0.5 // the same of one peer
	pairBurst  = 3   // the repeats of one call
	goLead     = 20 * time.Millisecond
	callWait   = 3 * time.Second // a CALLACK counts within this time
	longestWay = time.Second     // half of a round trip that is believed
)

// call is what one peer and we said of our NATs.
type call struct {
	stamp  uint32          // of our CALL, in its sender's milliseconds
	sent   time.Time       // when; zero: none waits for its CALLACK
	mine   address.Pattern // as last told the peer
	theirs address.Pattern // as last heard from it
	heard  time.Time
	answer bucket.Bucket // for its CALLs
}

// milliseconds is the clock of CALLs.
func (e *Edge) milliseconds(now time.Time) uint32 {
	return uint32(now.Sub(e.plane.Started()).Milliseconds())
}

// callPeer tells a peer how our NATs choose ports, and asks for the same.
func (e *Edge) callPeer(now time.Time, p *peer) {
	if !e.cfg.Ways.possible() {
		return
	}
	e.withPattern(now, func(now time.Time, mine address.Pattern) {
		c := &p.call
		c.mine, c.stamp, c.sent = mine, e.milliseconds(now), now
		m := protocol.Call{Sent: c.stamp}
		e.describe(&m, mine)
		e.sendCall(p, m.Append)
	})
}

// describe fills in what a CALL says of its sender.
func (e *Edge) describe(m *protocol.Call, mine address.Pattern) {
	list := e.addresses.candidates()
	m.Gen, m.List = list.Gen, list.List
	m.Mapping, m.Ports = uint8(mine.Mapping), mine.Ports
}

// sendCall sends control messages to a peer by the way for such, also when there
// is a direct path.
func (e *Edge) sendCall(p *peer, build func([]byte) []byte) {
	if r := e.callRoute(p); r != nil && p.sessions.sealing() != nil {
		e.sendControl(p, r, 0, build)
		e.send.Flush()
	}
}

// heardOf takes over what a peer says of itself.
func (e *Edge) heardOf(now time.Time, p *peer, m *protocol.Call) {
	e.handleCandidates(now, p, protocol.Candidates{Gen: m.Gen, List: m.List})
	p.call.theirs = address.Pattern{Mapping: address.MappingBehavior(min(m.Mapping, uint8(address.MappingAddressAndPortDependent))), Ports: m.Ports}
	p.call.heard = now
}

// handleCall answers a CALL with the same about ourselves.
func (e *Edge) handleCall(now time.Time, p *peer, m protocol.Call) {
	if p.path == nil || !e.cfg.Ways.possible() {
		return
	}
	if !p.call.answer.Take(now, 1, pairCall, pairBurst) || !e.callBudget.take(now) {
		e.drops.Drop(dataplane.DropControl)
		return
	}
	e.heardOf(now, p, &m)
	e.withPattern(now, func(_ time.Time, mine address.Pattern) {
		p.call.mine = mine
		answer := protocol.CallAck{Echo: m.Sent}
		e.describe(&answer.Call, mine)
		e.sendCall(p, answer.Append)
	})
}

// handleCallAck takes the answer to our CALL and says when both begin.
func (e *Edge) handleCallAck(now time.Time, p *peer, m protocol.CallAck) {
	c := &p.call
	if c.sent.IsZero() || m.Echo != c.stamp || now.Sub(c.sent) > callWait || p.path == nil {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	way := min(now.Sub(c.sent)/2, longestWay)
	c.sent = time.Time{}
	e.heardOf(now, p, &m.Call)
	answer := protocol.Go{Gen: m.Gen, Delay: goLead}
	e.sendCall(p, answer.Append)
	e.arrange(now, p, now.Add(way+goLead))
}

// handleGo begins when the peer does.
func (e *Edge) handleGo(now time.Time, p *peer, m protocol.Go) {
	if p.path == nil || now.Sub(p.call.heard) > callWait {
		e.drops.Drop(dataplane.DropNotExpected)
		return
	}
	e.arrange(now, p, now.Add(min(m.Delay, longestWay)))
}

func (e *Edge) arrange(now time.Time, p *peer, start time.Time) {
	e.host.Log.Debug("arranged", "peer", p.about.Name, "ours", p.call.mine, "theirs", p.call.theirs, "in", start.Sub(now))
	if !e.relayed(p) {
		p.path.Agreed(now, start) // nobody sends a PUNCH
	}
	p.path.Arrange(now, start, p.call.mine, p.call.theirs)
	e.pollPath(now, p)
	e.wake(p)
}
