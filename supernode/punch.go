package supernode

import (
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

// handlePunch arranges for two members to punch at the same moment: each gets
// the other's address as we see it, and a delay that makes up for the
// difference of their one-way delays to us. A member that we see over a stream only
// has no address to punch towards.
func (m *members) handlePunch(x *exchange, value []byte) {
	wanted, err := protocol.ParsePunch(value)
	if err != nil {
		x.refuse(dropPunch)
		return
	}
	if !x.affords(punchCost) {
		x.refuse(dropControlRate)
		return
	}
	r := x.hop.reg
	if !m.allowance.punch(x.now, x.hop) {
		x.refuse(dropPunchRate)
		return
	}
	peer := m.registry.member(r.community, wanted.Handle)
	if peer == nil || peer == r || peer.place < 0 {
		x.refuse(dropPunchTarget)
		return
	}
	if !underlayAddr(r.hop.addr).IsValid() || !underlayAddr(peer.hop.addr).IsValid() {
		x.refuse(dropPunchStream)
		return
	}
	asker, asked := punchDelays(r.hop.rtt, peer.hop.rtt)
	x.add(&protocol.Punch{Handle: peer.handle, Seen: peer.hop.addr, Delay: asker})
	to := protocol.Punch{Handle: r.handle, Seen: r.hop.addr, Delay: asked}
	m.sender.message(x.out, peer.hop, &to)
}

// punchDelays returns how long each of two edges must wait after our message
// has arrived: the one that is nearer waits for the other. An unknown round trip
// counts as equal to the other's.
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
