package edge

import (
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// learnStatement notes a peer's verified statement. It reports whether the
// peer started anew since the one that was known.
func (b *peers) learnStatement(p *peer, st crypto.Statement, raw []byte, features uint32) (restarted bool) {
	had := p.known()
	if had && st.Seq < p.identity.statement.Seq {
		return false
	}
	restarted = had && st.Seq > p.identity.statement.Seq
	p.identity.features = features
	p.identity.raw, p.identity.statement = append([]byte(nil), raw...), st
	if p.view.MAC() != protocol.MAC(st.MAC) {
		b.unbind(p)
		// The queues read the address without a lock: a peer with another
		// address gets another view.
		b.replaceView(p, protocol.MAC(st.MAC))
	}
	b.bind(p)
	b.mark(p)
	return restarted
}

// replaceView gives a peer a view with another hardware address. Its sessions go
// with it. What the queues have told under the old view and not yet been heard
// for is still the peer's.
func (b *peers) replaceView(p *peer, mac protocol.MAC) {
	v := dataplane.NewPeer(p.view.Static(), mac)
	v.SetRoute(p.view.Route())
	b.plane.Retire(p.view)
	delete(b.byView, p.former)
	b.byView[v] = p
	p.sessions.move(v, b.draft)
	p.former, p.view = p.view, v
	b.draft.SetStatic(v)
}

// bind gives a peer its hardware address once its statement is known, unless
// the address is pinned to another identity or is another peer's.
func (b *peers) bind(p *peer) {
	if p.identity.bound || !p.known() {
		return
	}
	mac := p.view.MAC()
	id := p.identity.statement.ID
	if mac == b.self || mac.IsGroup() || mac.IsZero() {
		b.refusals.note(refusedMACInvalid, p, "mac", mac)
		return
	}
	if !b.pins.allow(mac, id, b.keys.community) {
		b.refusals.note(refusedMACPinned, p, "mac", mac)
		return
	}
	if holder := b.byMAC[mac]; holder != nil && holder != p {
		if !b.yields(holder, p) {
			b.refusals.note(refusedMACHeld, p, "mac", mac, "holder", holder)
			return
		}
		b.unbind(holder)
		b.mark(holder)
	}
	if p.sessions.current != nil {
		b.pins.keep(mac, id, b.keys.community)
	}
	p.identity.bound = true
	b.byMAC[mac] = p
	b.draft.BindMAC(p.view)
	b.mark(p)
}

// yields reports whether the holder of a hardware address gives it to a peer: to
// the same identity's newer process, and to the identity that the address
// follows from.
func (b *peers) yields(holder, p *peer) bool {
	mac := p.view.MAC()
	theirs, his := p.identity.statement.ID, holder.identity.statement.ID
	return his == theirs || b.pins.derived(mac, theirs) && !b.pins.derived(mac, his)
}

// unbind ends that a peer has its hardware address.
func (b *peers) unbind(p *peer) {
	if !p.identity.bound {
		return
	}
	p.identity.bound = false
	delete(b.byMAC, p.view.MAC())
	b.draft.UnbindMAC(p.view.MAC())
	b.mark(p)
}

// pin keeps a peer's hardware address for its identity: it has proved to be a
// member's by a session.
func (b *peers) pin(p *peer) {
	if p.identity.bound {
		b.pins.keep(p.view.MAC(), p.identity.statement.ID, b.keys.community)
	}
}

// heardAt returns when a packet of a peer last authenticated; zero: never.
func (b *peers) heardAt(p *peer) time.Time {
	ns := p.view.Heard()
	if ns == 0 {
		return time.Time{}
	}
	return b.plane.Started().Add(time.Duration(ns))
}
