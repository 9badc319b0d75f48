package dataplane

import (
	"errors"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// What a bridge asks its gate. A frame of the device's own address, to one peer or from
// one, comes by here in one direction alone, and an edge that is no bridge never does.

// Gate returns the gate, nil if we are no bridge.
func (d *Plane) Gate() *bridge.Gate { return d.guard.gate }

// leaves reports whether a frame of a host on our segment goes on. A probe is for us: one
// without a tag counts whatever VLANs are carried, and one in a VLAN if that is.
func (g *guard) leaves(now int64, frame protocol.Frame) bool {
	tag, tagged := bridge.TagOf(frame)
	carried := !tagged || g.filter.Carries(tag.VLAN)
	switch {
	case frame.Dst() == protocol.ProbeGroup && carried:
		g.hearProbe(now, frame)
		return false
	case frame.Dst() == protocol.ProbeGroup:
		g.drops.Drop(DropVLAN)
		return false
	case tagged && carried:
		g.gate.Tags().Note(tag)
	}
	if !g.gate.Open() {
		g.drops.Drop(DropStandby)
		return false
	}
	return true
}

// floods reports whether a frame to many may pass: from our segment, whoever sent it, or
// into it from a peer. A frame of our own address can come back by another bridge of the
// segment, so that it does not pass either while we stand by.
func (g *guard) floods(now int64, frame protocol.Frame, from *Peer) bool {
	passes, changed := g.gate.Carries(frame)
	switch {
	case !g.gate.Open():
		g.drops.Drop(DropStandby)
		return false
	case !passes:
		g.drops.Drop(DropBPDU)
		return false
	case changed && g.gate.TellTopology(now):
		g.mailbox.post(TopologyChanged{From: from})
	}
	return true
}

// enters reports whether a frame of a peer goes to our device. To the device's own
// address it always does, since the kernel passes that to nobody else.
func (g *guard) enters(now int64, frame protocol.Frame, from *Peer) bool {
	switch dst := frame.Dst(); {
	case dst == g.self:
		return true
	case dst == protocol.ProbeGroup:
		g.drops.Drop(DropProbeInside)
		return false
	case dst.IsGroup():
		return g.floods(now, frame, from)
	case !g.gate.Open():
		g.drops.Drop(DropStandby)
		return false
	}
	return true
}

// hearProbe tells the control loop of a probe that a member has sent.
func (g *guard) hearProbe(now int64, frame protocol.Frame) {
	switch err := g.gate.Hear(now, frame); {
	case err == nil:
		g.mailbox.post(ProbeHeard{Frame: clone(frame)})
	case errors.Is(err, bridge.ErrProbeOwn):
		g.drops.Drop(DropProbeOwn)
	case errors.Is(err, bridge.ErrProbeCopy): // it has been heard
	case errors.Is(err, bridge.ErrProbeOld):
		g.drops.Drop(DropProbeOld)
	case errors.Is(err, bridge.ErrProbeRate):
		g.drops.Drop(DropProbeRate)
	default:
		g.drops.Drop(DropProbeForeign)
	}
}

// ForgetHosts forgets the hosts behind a peer: they may be elsewhere. Frames for them
// are flooded until they are heard again.
func (d *Plane) ForgetHosts(p *Peer) { d.fdb.forget(p) }

// ForgetHostsBut forgets the hosts behind all peers but one, and on our side unless
// that one is nil.
func (d *Plane) ForgetHostsBut(p *Peer) {
	d.fdb.FlushBut(p)
	if d.fdb.proxy != nil {
		d.fdb.proxy.FlushBut(p)
	}
}

// MoveHosts moves the hosts behind a peer to another one, which has taken over its
// segment, with their memberships. Without one they are forgotten.
func (d *Plane) MoveHosts(now time.Time, from, to *Peer) {
	if to == nil {
		d.ForgetHosts(from)
		return
	}
	d.fdb.Handover(from, to)
	d.guard.groups.Handover(d.Since(now), from, to)
	if d.fdb.proxy != nil {
		d.fdb.proxy.Handover(from, to)
	}
}
