package edge

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Two members may have one address: supernodes that do not share a registry leased it twice
// while one of the two could not be reached.
const (
	duplicatesMax   = 16              // members that are looked at
	duplicatesShown = 3               // that status names
	duplicateEvery  = 5 * time.Second // while there are any
	// duplicatePatience is how long the edge that came first waits for the other one to
	// take another address, which does not do so if it is not registered here.
	duplicatePatience = time.Minute
	// moveAgain is how long an address that took another's place stays: nobody makes us
	// change it for ever.
	moveAgain = 10 * time.Minute
)

// duplicates is the owner of the question who else has our address. What a member says in
// a session of its own addresses counts for a sentence to the user. We give a leased address
// up for it only if a supernode, too, says that the address is that member's: neither can
// do it alone.
type duplicates struct {
	peers     *peers
	addresses *deviceAddresses
	self      *self
	sessions  interface{ initiate(p *peer) }
	directory interface {
		askMAC(now time.Time, mac protocol.MAC)
	}
	describer *describer
	reports   *reporter
	since     map[*peer]time.Time // who has our address, since when that is known
	moved     time.Time           // when we last changed our address for that; zero: never
	timers    timer.Queue
	next      timer.Timer
}

// open makes the timer.
func (d *duplicates) open() {
	d.since = make(map[*peer]time.Time)
	d.next = timer.New(&d.timers, "look for a member with our address", d.look)
}

func (d *duplicates) deadline() time.Time { return d.timers.Next() }
func (d *duplicates) tick(now time.Time)  { d.timers.Run(now) }

// says reports whether a peer says in its session that it has an address.
func (p *peer) says(a netip.Addr) bool {
	return p.sessions.current != nil && p.identity.proven && slices.ContainsFunc(p.identity.addresses, func(x netip.Prefix) bool { return x.Addr() == a })
}

// settle notes whether a peer has our address.
func (d *duplicates) settle(now time.Time, p *peer) {
	lease := d.addresses.lease
	has := lease.IsValid() && !p.gone && p.says(lease.Addr())
	_, known := d.since[p]
	switch {
	case has && !known && len(d.since) < duplicatesMax:
		d.since[p] = now
		d.next.NotAfter(now)
		d.reports.report(now, control.Event{Kind: control.EventAddressTwice, Peer: d.describer.peer(now, p), Prefix: lease, Text: d.sentence(p)})
	case !has && known:
		delete(d.since, p)
		d.ask(now) // the supernodes that had leased it to the other one
	}
}

// settleAll does so for all peers, since our own address has changed.
func (d *duplicates) settleAll(now time.Time) {
	for _, p := range d.peers.byStatic {
		d.settle(now, p)
	}
}

// look gives our address up, if it is for us to do that. It asks those that a supernode
// names, and with whom there is no session yet.
func (d *duplicates) look(now time.Time) {
	for _, s := range d.addresses.supernodes {
		holder := s.taken()
		if holder.IsZero() {
			continue
		}
		d.next.Set(now.Add(duplicateEvery))
		p := d.peers.byMAC[holder]
		switch {
		case p == nil:
			d.directory.askMAC(now, holder)
		case p.sessions.current == nil:
			d.sessions.initiate(p)
		case d.yields(now, s, p):
			d.move(now, s, p)
			return
		}
	}
	if len(d.since) > 0 {
		d.next.Set(now.Add(duplicateEvery))
	}
}

// taken returns who has our address at a supernode that has leased us another one, zero:
// nobody has.
func (s *supernode) taken() protocol.MAC {
	if !s.registered() {
		return protocol.MAC{}
	}
	return s.grant.holder
}

// yields reports whether our address is to be changed for the one that a supernode offers,
// which says that a peer has ours. The later start moves, and whoever has nobody's word
// that the address is his.
func (d *duplicates) yields(now time.Time, s *supernode, p *peer) bool {
	a := d.addresses
	since, has := d.since[p]
	if !has || a.cfg.Mode == AddressStatic || !s.grant.offer.IsValid() || s.grant.fault != "" || !d.moved.IsZero() && now.Sub(d.moved) < moveAgain {
		return false
	}
	granted := slices.ContainsFunc(a.supernodes, func(s *supernode) bool { return s.registered() && s.grant.offer == a.lease })
	theirs := p.identity.statement
	later := theirs.Seq < d.self.seq || theirs.Seq == d.self.seq && bytes.Compare(theirs.ID[:], d.self.identity.ID) < 0
	return !granted || later || now.Sub(since) >= duplicatePatience
}

// move gives our address up for the one that a supernode offers.
func (d *duplicates) move(now time.Time, s *supernode, p *peer) {
	was := d.addresses.lease
	if !d.addresses.replace(now, s.grant.offer) {
		return
	}
	d.moved = now
	clear(d.since)
	d.reports.report(now, control.Event{Kind: control.EventAddressReplaced, Prefix: d.addresses.lease, Wanted: was, MAC: p.view.MAC(), Peer: d.describer.peer(now, p)})
	d.ask(now)
}

// ask registers again where another address than ours is leased to us.
func (d *duplicates) ask(now time.Time) {
	for _, s := range d.addresses.supernodes {
		if s.registered() && d.addresses.lease.IsValid() && s.grant.offer != d.addresses.lease {
			s.grant.holder = protocol.MAC{}
			s.grant.renew.NotAfter(now)
		}
	}
}

// sentence says who has our address, and what becomes of it.
func (d *duplicates) sentence(p *peer) string {
	static := d.addresses.cfg.Mode == AddressStatic
	return control.AddressTwice(d.addresses.lease.Addr(), p.title(), p.shortID(), static)
}

// notes says for status who has our address.
func (d *duplicates) notes() (list []string) {
	for p := range d.since {
		list = append(list, d.sentence(p))
	}
	slices.Sort(list)
	return list[:min(duplicatesShown, len(list))]
}
