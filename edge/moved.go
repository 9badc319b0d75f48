package edge

import (
	"net/netip"
	"slices"
	"time"
)

// A name may come to stand for another host while the supernode where it led before still
// answers. Members that start from now on register there, so we register there as well: as
// a second supernode of that name, which is one more place in the list of supernodes. The
// first serves on. When it is lost the second takes the name over.

// maxTold is of how many addresses of one name the user is told.
const maxTold = 16

// addSeconds adds a place for the second supernode of each name or address, as far as there
// is room: without one the supernode is followed when the first is lost.
func (l supernodes) addSeconds() supernodes {
	for _, s := range l {
		if len(l) < maxSupernodes {
			second := newSupernode(len(l), s.cfg)
			second.kin.first = s
			s.kin.second = second
			l = append(l, second)
		}
	}
	return l
}

// follow prepares to register where a name leads now, if the supernode where it led before
// answers still, and ends it when the name leads there again. It reports whether to begin.
func (c *connector) follow(now time.Time, s *supernode) (begin bool) {
	second, at, named := s.kin.second, s.hop.at, s.where.leads()
	if second == nil {
		return false
	}
	leads := func(a netip.AddrPort) bool { return slices.Contains(named, a) }
	switch {
	case !s.registered() || s.fallenBack() || leads(at):
		if !second.dormant() && !second.registered() {
			c.dismiss(now, second)
		}
	case slices.ContainsFunc(second.where.addrs, leads): // we are there, or try to be
	default:
		if !second.dormant() {
			c.dismiss(now, second)
		}
		if second.key == nil || *second.key != *s.key {
			second.pin(*s.key)
			c.pinned(second)
		}
		second.where.named = slices.Clone(named)
		c.locator.place(now, second)
		if !s.where.pointer.active() {
			c.locator.tellMoved(now, s)
		}
		return true
	}
	return false
}

// relocate has a supernode looked for where it says that it is now.
func relocate(c *connector, now time.Time, s *supernode) {
	if c.follow(now, s) {
		c.restart(now, s.kin.second)
	}
	c.locator.place(now, s)
	if s.hop.session == nil && !s.init.active() && !s.hello.active {
		c.restart(now, s)
	}
}

// takeOver has the second supernode of a name take the place of the first, which is lost.
// It reports whether it has.
func (c *connector) takeOver(now time.Time, s *supernode) bool {
	second := s.kin.second
	if second == nil || !second.registered() {
		if second != nil && !second.dormant() {
			c.dismiss(now, second)
		}
		return false
	}
	second.lead()
	s.kin.pausing.Stop()
	if until := second.where.pointer.until; !until.IsZero() {
		second.kin.pausing.Set(until)
	}
	c.locator.keep(second)
	c.dismiss(now, s)
	c.locator.place(now, second)
	return true
}

// lead makes the second supernode of a name the first, with what is known of the name.
func (s *supernode) lead() {
	first := s.kin.first
	s.kin.second, s.kin.first, first.kin.first, first.kin.second = first, nil, s, nil
	from, to := &first.where, &s.where
	to.name, to.named, to.failed, to.fault, to.moved, to.pointer = from.name, from.named, from.failed, from.fault, from.moved, from.pointer
	*from = whereabouts{published: from.published}
}

// dismiss ends all that there is with a supernode.
func (c *connector) dismiss(now time.Time, s *supernode) {
	c.dropStream(s)
	s.stream.further.close()
	c.retire(s)
	if s.hop.old != nil {
		c.draft.DropHop(s.hop.old.Crypto().LocalIndex())
		s.hop.old = nil
	}
	c.locator.rotations.stay(s)
	if s.init.initiator != nil {
		s.init.initiator.Stop()
	}
	s.init.retry.Stop()
	s.init.to = netip.AddrPort{}
	s.hello.end()
	s.hop.rekey.Stop()
	s.where, s.reported = whereabouts{published: s.where.published}, supernodeReport{}
	c.released(now, s)
}
