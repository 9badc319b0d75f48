package edge

import (
	"bytes"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/protocol"
)

// seqAhead is how far ahead of our clock, or of the last one, the number of a statement
// may be that is believed outside a session: numbers are wall clocks in milliseconds.
// Without a bound one statement could keep all later ones from being noticed.
const seqAhead = 24 * time.Hour

// news is what a statement that came outside a session means.
type news uint8

const (
	newsNone      news = iota // nothing, or no more than is known
	newsMember                // this is all that is known of the peer
	newsRestarted             // the peer, which had proved who it is, has started anew
	newsDisputed              // another identity claims an unproven peer's static key: only the peer can tell
	newsRefused               // it is not the peer's
)

// told takes a peer's statement from somebody else: a supernode, the LAN, the state
// file. The signer says that the static key is its own, and nothing shows that it is:
// until the peer itself has said who it is (prove) the statement is a hint, by which the
// peer is found and greeted. A proven peer never becomes anybody else so.
func (b *peers) told(now time.Time, p *peer, st crypto.Statement, raw []byte) news {
	id := &p.identity
	switch {
	case !p.known():
		b.take(p, st, raw)
		return newsMember
	case st.ID != id.statement.ID && id.proven:
		b.refusals.note(refusedOtherIdentity, p, "claims", crypto.ShortID(st.ID[:]))
		return newsRefused
	case st.ID != id.statement.ID:
		b.refusals.note(refusedDisputed, p, "claims", crypto.ShortID(st.ID[:]))
		return newsDisputed
	case st.Seq <= id.newest:
		b.bind(p) // the holder of its address may have gone
		return newsNone
	case !b.plausible(now, id.newest, st.Seq):
		b.refusals.note(refusedSeqJump, p, "seq", st.Seq, "known", id.newest)
		return newsNone // it is the peer's all the same: where it is may be learned
	}
	b.take(p, st, raw)
	if !id.proven {
		return newsMember
	}
	return newsRestarted
}

// stated returns the peer whose statement has just these bytes, marked, or nil: it was
// verified when it became the peer's.
func (b *peers) stated(raw []byte) *peer {
	if len(raw) != crypto.StatementLen {
		return nil
	}
	p := b.byStatic[[32]byte(raw[32:])]
	if p == nil || !bytes.Equal(p.identity.raw, raw) {
		return nil
	}
	return b.found(p)
}

// prove takes a peer's statement from the peer itself, inside a session with the static
// key that it names: the identity has signed for the key, and the holder of the key
// names the identity. It replaces every hint, whatever its number, and from now on the
// key has this identity.
func (b *peers) prove(now time.Time, p *peer, st crypto.Statement, raw []byte) {
	id := &p.identity
	if p.known() && st.ID != id.statement.ID {
		if id.proven {
			b.refusals.note(refusedOtherIdentity, p, "claims", crypto.ShortID(st.ID[:]))
			return
		}
		b.unbind(p) // somebody else had claimed the key
	}
	newest := st.Seq
	if id.proven {
		newest = max(newest, id.newest)
	}
	id.proven = true
	b.take(p, st, raw)
	id.newest = newest
	b.pin(now, p)
}

// take makes a statement the peer's.
func (b *peers) take(p *peer, st crypto.Statement, raw []byte) {
	id := &p.identity
	id.raw, id.statement, id.newest = append([]byte(nil), raw...), st, st.Seq
	if p.view.MAC() != protocol.MAC(st.MAC) {
		b.unbind(p)
		// The queues read the address without a lock: a peer with another
		// address gets another view.
		b.replaceView(p, protocol.MAC(st.MAC))
	}
	b.bind(p)
	b.mark(p)
}

// plausible reports whether a statement's number may follow another one. With a clock
// that is known to be wrong nothing can be said.
func (b *peers) plausible(now time.Time, last, seq uint64) bool {
	wall := b.plane.Wall(now)
	ahead := uint64(seqAhead.Milliseconds())
	return seq <= uint64(max(wall.UnixMilli(), 0))+ahead || seq-last <= ahead || b.keys.schedule.ClockWrong(wall)
}

// replaceView gives a peer a view with another hardware address. Its sessions go
// with it. What the queues have told under the old view and not yet been heard
// for is still the peer's.
func (b *peers) replaceView(p *peer, mac protocol.MAC) {
	v := dataplane.NewPeer(p.view.Static(), mac)
	v.SetRoute(p.view.Route())
	v.SetFeatures(p.view.Features())
	v.SetLink(p.view.Link())
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
	p.identity.bound = true
	b.byMAC[mac] = p
	b.draft.BindMAC(p.view)
	b.mark(p)
}

// yields reports whether the holder of a hardware address gives it to a peer: to the
// identity that the address follows from, to one that has proved who it is if the holder
// has not, and to the same identity's newer process.
func (b *peers) yields(holder, p *peer) bool {
	mac, theirs, his := p.view.MAC(), &p.identity, &holder.identity
	if theirs.statement.ID == his.statement.ID {
		if theirs.proven != his.proven {
			return theirs.proven
		}
		return theirs.statement.Seq > his.statement.Seq
	}
	if due, kept := b.pins.derived(mac, theirs.statement.ID), b.pins.derived(mac, his.statement.ID); due != kept {
		return due
	}
	return theirs.proven && !his.proven
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

// rightClock returns the wall clock, the zero time while that is known to be wrong.
func (b *peers) rightClock(now time.Time) time.Time {
	wall := b.plane.Wall(now)
	if b.keys.schedule.ClockWrong(wall) {
		return time.Time{}
	}
	return wall
}

// pin keeps a peer's hardware address for its identity: both were proved in a session.
func (b *peers) pin(now time.Time, p *peer) {
	if p.identity.bound && p.identity.proven {
		b.pins.keep(b.rightClock(now), p.view.MAC(), p.identity.statement.ID, b.keys.community)
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
