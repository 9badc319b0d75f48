package supernode

import (
	"slices"
	"time"

	"hedgerow/protocol"
)

const (
	punchRate  = 5 // a second, of one edge
	punchBurst = 10
	// punchLead is added to the delay of both sides: time for the slower one to
	// get ready.
	punchLead = 20 * time.Millisecond
)

// handlePunch arranges for two members to punch at the same moment: both get
// the other's address as we see it, and a delay that makes up for the
// difference of their ways to us. There is nothing to punch towards one that we
// see over a stream only.
func (s *Server) handlePunch(x *exchange, value []byte) {
	m, err := protocol.ParsePunch(value)
	if err != nil {
		s.refuseMessage(x, dropPunch)
		return
	}
	r := x.hop.reg
	if !r.budget.punches.Take(x.now, 1, punchRate, punchBurst) {
		s.refuseMessage(x, dropPunchRate)
		return
	}
	peer := s.registry.member(r.community, m.Handle)
	if peer == nil || peer == r || peer.place < 0 {
		s.refuseMessage(x, dropPunchTarget)
		return
	}
	if !shown(r.hop.addr).IsValid() || !shown(peer.hop.addr).IsValid() {
		s.refuseMessage(x, dropPunchStream)
		return
	}
	near, far := punchDelays(r.hop.rtt, peer.hop.rtt)
	s.add(x, &protocol.Punch{Handle: peer.handle, Seen: peer.hop.addr, Delay: near})
	to := protocol.Punch{Handle: r.handle, Seen: r.hop.addr, Delay: far}
	s.sendControl(x.out, peer.hop, to.Append(startControl(x.out.buffer())), peer.hop.addr)
}

// punchDelays returns how long each of two edges must wait after our message
// has arrived: the one with the shorter way waits for the other. An unknown
// round trip is taken as equal to the other's.
func punchDelays(a, b time.Duration) (waitA, waitB time.Duration) {
	a, b = min(a, longestRTT), min(b, longestRTT)
	if a == 0 {
		a = b
	}
	if b == 0 {
		b = a
	}
	longest := max(a, b)
	return (longest-a)/2 + punchLead, (longest-b)/2 + punchLead
}

// handleDirect notes which members an edge reaches directly: its floods are
// not relayed to them when it says so.
func (s *Server) handleDirect(x *exchange, value []byte) {
	m, err := protocol.ParseDirect(value)
	if err != nil {
		s.refuseMessage(x, dropDirect)
		return
	}
	x.hop.direct = append(x.hop.direct[:0], m.Handles...)
	slices.Sort(x.hop.direct)
}
