package dataplane

import (
	"sync/atomic"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// stations is the forwarding database, what answers for its stations, and whether the
// control loop knows that there is something to do.
type stations struct {
	*bridge.FDB[*Peer]
	proxy *bridge.Proxy[*Peer] // nil: every question of ARP goes to everybody
	told  atomic.Bool
}

func newStations(size bridge.Size, transparent bool) *stations {
	if size == (bridge.Size{}) {
		size = bridge.DefaultSize
	}
	s := &stations{FDB: bridge.New[*Peer](size)}
	if !transparent {
		s.proxy = bridge.NewProxy[*Peer](size)
	}
	return s
}

// forget forgets the stations behind a peer, nil for our own side, and their addresses.
func (s *stations) forget(p *Peer) {
	s.Flush(p)
	if s.proxy != nil {
		s.proxy.Flush(p)
	}
}

// wake tells the control loop that something is due, once until it has asked what.
func (s *stations) wake(m *mailbox) {
	if s.told.CompareAndSwap(false, true) && !m.post(StationsDue{}) {
		s.told.Store(false)
	}
}

// StationsDue returns what is to be asked about stations now, and when there is
// something to do again, 0 for never.
func (d *Plane) StationsDue(now int64) (list []bridge.Question[*Peer], next int64) {
	d.fdb.told.Store(false)
	return d.fdb.Due(now)
}

// Askable reports whether the peer answers questions about stations.
func (p *Peer) Askable() bool { return p.features.Load()&protocol.FeatureHosts != 0 }

// admitStation learns that a station is behind a peer. It reports whether its frame
// is delivered.
func (d *Plane) admitStation(now int64, p *Peer, frame *bridge.Parsed) bool {
	v := d.fdb.Learn(now, frame.Source(), p)
	if v.Wake {
		d.fdb.wake(d.mailbox)
	}
	if v.Drop {
		d.drops.Drop(DropStationHere)
	}
	return !v.Drop
}

// hearStation notes a frame of a station on our own side.
func (o *outbound) hearStation(now int64, frame *bridge.Parsed) {
	if key := frame.Source(); !key.MAC.IsGroup() && o.fdb.Local(now, key, frame.SenderIP()).Wake {
		o.fdb.wake(o.mailbox)
	}
}

// findStation returns the peer that a station is behind. With none the frame is
// flooded, unless the station is on our own side and done says so: then our LAN has
// carried the frame already (IEEE 802.1Q, section 8.6.1).
func (o *outbound) findStation(now int64, key bridge.Key) (p *Peer, done bool) {
	p, at := o.fdb.Lookup(now, key)
	if at == bridge.Silent && o.fdb.Doubt(now, key) {
		o.fdb.wake(o.mailbox)
	}
	if done = at == bridge.Here || key.MAC == o.self; done {
		o.drops.Drop(DropDestinationHere)
	} else if p == nil {
		o.total.unknown.Add(1)
	}
	return p, done
}

// Proxy returns what answers ARP and neighbour discovery for stations behind other edges,
// nil if nothing does.
func (d *Plane) Proxy() *bridge.Proxy[*Peer] { return d.fdb.proxy }

// hearResolution notes what a frame says about addresses; from is nil for our own side.
func (d *Plane) hearResolution(now int64, frame *bridge.Parsed, from *Peer) (r bridge.Resolution) {
	if r = frame.Resolution(); r.Has.IsValid() {
		d.fdb.proxy.Heard(now, bridge.Address{VLAN: frame.VLAN(), IP: r.Has}, frame.Src(), r.Flags, from)
	}
	return r
}

// resolve looks at a frame of our own side that may ask who has an address. It reports
// whether the frame is done: answered here, or sent to the owner alone.
func (o *outbound) resolve(t *Table, now int64, f *tap.Frame, frame *bridge.Parsed) (done bool) {
	r := o.hearResolution(now, frame, nil)
	if !r.Asks.IsValid() {
		return false
	}
	a := bridge.Address{VLAN: frame.VLAN(), IP: r.Asks}
	if !r.Proxied {
		o.fdb.proxy.Asked(now, a)
		return false
	}
	owner, found := o.fdb.proxy.Find(now, a)
	if found == bridge.AskAll || o.guard.gate != nil && !o.guard.gate.Open() {
		return false
	}
	p, sure := o.whereIs(t, now, owner, a)
	switch {
	case found == bridge.AskNobody:
		if p == nil {
			o.fdb.proxy.CountLocal()
		}
		return p == nil // unless it has left
	case p == nil || p.route.Load().Session == nil || t.closed && !p.may(bridge.Exchange): // as if nobody were known there
		return false
	case found == bridge.Tell && sure:
		o.answer(frame, &r, owner)
	case o.guard.calmHost(now, frame, 1):
		o.fdb.proxy.Asked(now, a)
		o.fdb.proxy.CountForwarded()
		*(*protocol.MAC)(frame.Frame) = owner.MAC
		o.sealTo(t, now, p, f, owner.MAC == p.mac && frame.Src() == o.self)
	}
	return true
}

// whereIs returns the peer that the owner of an address is behind, nil for our own side or
// nobody; sure says that it is where it was when it said that it has the address.
func (o *outbound) whereIs(t *Table, now int64, owner bridge.Owner[*Peer], a bridge.Address) (p *Peer, sure bool) {
	if p = t.macs.Get(owner.MAC); p == nil {
		var at bridge.Place
		p, at = o.fdb.Lookup(now, bridge.Key{VLAN: a.VLAN, MAC: owner.MAC})
		if at == bridge.Here {
			return nil, false
		}
	}
	if p == nil {
		return owner.Edge, false
	}
	return p, p == owner.Edge || p.behind.Load() == owner.Edge
}

// answer hands our own side the answer to a question.
func (o *outbound) answer(frame *bridge.Parsed, r *bridge.Resolution, owner bridge.Owner[*Peer]) {
	f := o.make()
	b := frame.AppendAnswer(f.Buf[headroom:headroom], r, owner.MAC, owner.Flags)
	f.Off, f.Len, f.Offload = headroom, len(b), offload.Header{}
	if o.write(o.device, o.made[:]) == nil {
		o.fdb.proxy.CountAnswered()
	}
}
