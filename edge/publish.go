package edge

import (
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
)

// publish tells the data plane what the control loop knows now. What the draft
// has already costs a look-up.
func (e *Edge) publish(now time.Time) {
	e.dirty = false
	e.draftPeers()
	e.draftServers()
	e.draft.SetGroup(e.keys.group)
	e.draft.SetList(e.keys.community.Members == crypto.MembersList)
	wall := e.plane.Wall(now)
	var epochs []crypto.Epoch
	for _, ki := range e.keys.schedule.Acceptable(wall) {
		if epoch, ok := e.keys.schedule.CanReceive(wall, ki); ok {
			epochs = append(epochs, epoch)
		}
	}
	e.draft.SetEpochs(epochs)
	e.plane.Publish(e.draft)
}

// draftPeers brings what the draft has of peers up to date.
func (e *Edge) draftPeers() {
	for _, p := range e.peers.byStatic {
		e.draft.SetStatic(p.view)
		p.sessions.each(e.draft.SetSession)
		if p.id.bound {
			e.draft.BindMAC(p.view)
		}
	}
	for static := range e.draft.Statics() {
		if e.peers.byStatic[static] == nil {
			e.draft.DropStatic(static)
		}
	}
	for mac := range e.draft.Bound() {
		if e.peers.byMAC[mac] == nil {
			e.draft.UnbindMAC(mac)
		}
	}
	for index, s := range e.draft.Sessions() {
		if p := e.peers.byView[s.Peer()]; p == nil || !p.sessions.has(s) {
			e.draft.DropSession(index)
		}
	}
}

// draftServers brings what the draft has of supernodes and TURN servers up to
// date.
func (e *Edge) draftServers() {
	wanted := make(map[netip.AddrPort]bool)
	source := func(a netip.AddrPort, s dataplane.Source) {
		wanted[a] = true
		e.draft.SetSource(a, s)
	}
	for _, s := range e.turns {
		if s.relay != nil {
			source(s.server, dataplane.Source{TURN: s.relay})
		}
	}
	var registered []*dataplane.Supernode
	hops := make(map[uint32]bool)
	for _, l := range e.links {
		mask := l.mask
		if mask == nil {
			mask = e.plane.HelloMask()
		}
		for _, a := range append(l.where.addrs[:len(l.where.addrs):len(l.where.addrs)], l.stream.side) {
			if a.IsValid() {
				source(a, dataplane.Source{Supernode: l.view, Mask: mask, AwaitsWelcome: l.hello.active && l.mask != nil})
			}
		}
		for _, s := range []*dataplane.HopSession{l.session, l.old} {
			if s != nil {
				hops[s.Crypto().LocalIndex()] = true
				e.draft.SetHop(s)
			}
		}
		if l.registered() {
			registered = append(registered, l.view)
		}
	}
	e.draft.SetSupernodes(registered)
	for a := range e.draft.Sources() {
		if !wanted[a] {
			e.draft.DropSource(a)
		}
	}
	for index := range e.draft.Hops() {
		if !hops[index] {
			e.draft.DropHop(index)
		}
	}
}
