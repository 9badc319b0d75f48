package dataplane

import (
	"iter"
	"maps"
	"net/netip"
	"slices"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Draft is the table that the control loop works on. It belongs to one goroutine.
// A method that sets what is set already changes nothing, so that a draft knows
// whether it has to be published. A change costs what it changes, and not the size
// of the community.
type Draft struct {
	next    Table
	changed bool
}

// NewDraft returns a draft that knows nobody. The first Publish publishes it.
func NewDraft() *Draft {
	return &Draft{next: Table{epochs: &[256]*crypto.Epoch{}}, changed: true}
}

// Publish makes a draft the table that the queues read, if it has changed since
// the last time. The draft can be changed further.
func (d *Plane) Publish(draft *Draft) {
	if !draft.changed {
		return
	}
	draft.changed = false
	t := draft.next
	d.table.Store(&t)
}

// Changed reports whether there is something to publish.
func (d *Draft) Changed() bool { return d.changed }

// Session returns the pair session with an index of ours, or nil.
func (d *Draft) Session(index uint32) *Session { return d.next.sessions.Get(index) }

// Sessions returns the pair sessions in no order, by our index.
func (d *Draft) Sessions() iter.Seq2[uint32, *Session] { return d.next.sessions.All() }

// SessionCount returns how many pair sessions there are.
func (d *Draft) SessionCount() int { return d.next.sessions.Len() }

// SetSession lets packets of a session be opened.
func (d *Draft) SetSession(s *Session) {
	if index := s.session.LocalIndex(); d.next.sessions.Get(index) != s {
		d.next.sessions, d.changed = d.next.sessions.With(index, s), true
	}
}

// DropSession ends that for the session with an index of ours.
func (d *Draft) DropSession(index uint32) {
	if _, ok := d.next.sessions.Find(index); ok {
		d.next.sessions, d.changed = d.next.sessions.Without(index), true
	}
}

// Hop returns the hop session with an index of ours, or nil.
func (d *Draft) Hop(index uint32) *HopSession { return d.next.hops[index] }

// Hops returns the hop sessions in no order, by our index.
func (d *Draft) Hops() iter.Seq2[uint32, *HopSession] { return maps.All(d.next.hops) }

// HopCount returns how many hop sessions there are.
func (d *Draft) HopCount() int { return len(d.next.hops) }

// SetHop lets packets of a hop session be opened.
func (d *Draft) SetHop(s *HopSession) {
	if index := s.session.LocalIndex(); d.next.hops[index] != s {
		d.next.hops, d.changed = set(d.next.hops, index, s), true
	}
}

// DropHop ends that for the hop session with an index of ours.
func (d *Draft) DropHop(index uint32) {
	if _, ok := d.next.hops[index]; ok {
		d.next.hops, d.changed = unset(d.next.hops, index), true
	}
}

// Sources returns the underlay addresses that servers have, in no order.
func (d *Draft) Sources() iter.Seq[netip.AddrPort] { return maps.Keys(d.next.sources) }

// SetSource says whose an underlay address is, and how its datagrams are read.
func (d *Draft) SetSource(a netip.AddrPort, s Source) {
	if old := d.next.sources[a]; old == nil || *old != s {
		d.next.sources, d.changed = set(d.next.sources, a, &s), true
	}
}

// DropSource says that an underlay address is no server's.
func (d *Draft) DropSource(a netip.AddrPort) {
	if _, ok := d.next.sources[a]; ok {
		d.next.sources, d.changed = unset(d.next.sources, a), true
	}
}

// Bound returns the peers with a hardware address that is theirs, in no order.
func (d *Draft) Bound() iter.Seq2[protocol.MAC, *Peer] { return d.next.macs.All() }

// BindMAC gives a peer its hardware address: frames to it go to the peer, frames
// from it are the peer's alone, and floods are for the peer, too.
func (d *Draft) BindMAC(p *Peer) {
	if d.next.macs.Get(p.mac) != p {
		d.next.macs, d.changed = d.next.macs.With(p.mac, p), true
	}
}

// UnbindMAC ends that a peer has a hardware address.
func (d *Draft) UnbindMAC(mac protocol.MAC) {
	if _, ok := d.next.macs.Find(mac); ok {
		d.next.macs, d.changed = d.next.macs.Without(mac), true
	}
}

// Statics returns the peers that may vouch for the salts of their GROUP packets,
// in no order, by their X25519 static keys.
func (d *Draft) Statics() iter.Seq2[[32]byte, *Peer] { return d.next.statics.All() }

// SetStatic says which peer has a static key.
func (d *Draft) SetStatic(p *Peer) {
	if d.next.statics.Get(p.static) != p {
		d.next.statics, d.changed = d.next.statics.With(p.static, p), true
	}
}

// DropStatic says that nobody has a static key.
func (d *Draft) DropStatic(static [32]byte) {
	if _, ok := d.next.statics.Find(static); ok {
		d.next.statics, d.changed = d.next.statics.Without(static), true
	}
}

// Holder returns the peer that has an overlay address, or nil.
func (d *Draft) Holder(a netip.Addr) *Peer { return d.next.holders.Get(a.As16()) }

// SetHolder says which peer has an overlay address; nil: nobody is known to.
func (d *Draft) SetHolder(a netip.Addr, p *Peer) {
	key := a.As16()
	switch old := d.next.holders.Get(key); {
	case old == p:
	case p == nil:
		d.next.holders, d.changed = d.next.holders.Without(key), true
	default:
		d.next.holders, d.changed = d.next.holders.With(key, p), true
	}
}

// SetOwn sets the addresses of our device.
func (d *Draft) SetOwn(list []netip.Prefix) {
	if !slices.Equal(d.next.own, list) {
		d.next.own, d.changed = slices.Clone(list), true
	}
}

// SetSupernodes sets the supernodes that have us registered, best first. They
// carry floods.
func (d *Draft) SetSupernodes(list []*Supernode) {
	if !slices.Equal(d.next.supernodes, list) {
		d.next.supernodes, d.changed = slices.Clone(list), true
	}
}

// Group returns what GROUP packets are sealed under, or nil.
func (d *Draft) Group() *crypto.GroupSender { return d.next.group }

// SetGroup sets what GROUP packets are sealed under; nil: there is no epoch to
// send under.
func (d *Draft) SetGroup(g *crypto.GroupSender) {
	if d.next.group != g {
		d.next.group, d.changed = g, true
	}
}

// CanReceive reports whether packets under a key index are opened.
func (d *Draft) CanReceive(ki uint8) bool { return d.next.epochs[ki] != nil }

// SetEpochs sets the epochs that are received now.
func (d *Draft) SetEpochs(list []crypto.Epoch) {
	var epochs [256]*crypto.Epoch
	same := true
	for _, e := range list {
		epochs[e.Index] = &e
	}
	for ki, e := range epochs {
		old := d.next.epochs[ki]
		same = same && (e == nil) == (old == nil) && (e == nil || *e == *old)
	}
	if !same {
		d.next.epochs, d.changed = &epochs, true
	}
}

// List reports whether only listed members are believed.
func (d *Draft) List() bool { return d.next.list }

// SetList says whether only listed members are believed. Then frames are exchanged with
// peers alone that have bridge.Exchange, and none goes as GROUP to a peer without a
// session.
func (d *Draft) SetList(list bool) {
	if d.next.list != list {
		d.next.list, d.next.closed, d.changed = list, list || d.next.isolated, true
	}
}

// SetIsolated says whether the community has hubs, which alone its other members exchange
// frames with.
func (d *Draft) SetIsolated(isolated bool) {
	if d.next.isolated != isolated {
		d.next.isolated, d.next.closed, d.changed = isolated, isolated || d.next.list, true
	}
}

// Isolated reports whether the community has hubs.
func (d *Draft) Isolated() bool { return d.next.isolated }

// set returns a copy of a map with a value for a key.
func set[K comparable, V any](m map[K]V, key K, value V) map[K]V {
	made := make(map[K]V, len(m)+1)
	maps.Copy(made, m)
	made[key] = value
	return made
}

// unset returns a copy of a map without a key.
func unset[K comparable, V any](m map[K]V, key K) map[K]V {
	made := maps.Clone(m)
	delete(made, key)
	return made
}
