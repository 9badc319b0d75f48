package edge

import (
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
	"hedgerow/edge/underlay"
)

// locator knows at which addresses each supernode is tried, and what the next start is to
// know of that.
type locator struct {
	supernodes supernodes
	underlay   *underlay.Underlay
	covers     *dataplane.Covers // of STUN to supernodes
	state      *state
	reports    *reporter
	pointers   *pointers
	rotations  *rotations
}

// unresolved notes that a name cannot be looked up, and tells the user each reason once.
func (l *locator) unresolved(now time.Time, s *supernode, err error) {
	w := &s.where
	if w.failed.IsZero() {
		w.failed = now
	}
	known := w.fault != nil && control.Unresolved(s.cfg.Name, w.fault, s.addr()) == control.Unresolved(s.cfg.Name, err, s.addr())
	if w.fault = err; !known {
		l.reports.report(now, control.Event{Kind: control.EventResolveFailed, Supernode: s.cfg.Name, Addr: s.addr(), Err: err})
	}
}

// place makes the list of the addresses at which a supernode is tried: where it says that it
// is, what its name stands for, and then where it answered last. A name server may be wrong, as in a network
// that wants a sign-in first, and the supernode may not be there yet.
func (l *locator) place(now time.Time, s *supernode) {
	w, before := &s.where, s.addr()
	if s.hop.at == w.good && w.good.IsValid() {
		before = w.good
	}
	w.addrs = nil
	if w.pointer.active() {
		w.addrs = slices.Clone(w.pointer.addrs)
	}
	for _, a := range w.named {
		if !slices.Contains(w.addrs, a) {
			w.addrs = append(w.addrs, a)
		}
	}
	if s.kin.second != nil { // an address is one supernode's
		w.addrs = slices.DeleteFunc(w.addrs, func(a netip.AddrPort) bool { return slices.Contains(s.kin.second.where.addrs, a) })
	}
	if w.good.IsValid() && !slices.Contains(w.addrs, w.good) {
		w.addrs = append(w.addrs, w.good)
	}
	w.at = max(slices.Index(w.addrs, before), 0)
	if !s.registered() && !slices.Contains(w.leads(), before) {
		w.at = 0
	}
	var all []netip.AddrPort
	for _, s := range l.supernodes {
		all = append(all, s.where.addrs...)
	}
	l.underlay.Addresses.SetSupernodes(all)
	to := &s.leader().where.pointer
	for _, a := range w.addrs { // its STUN also says whether we have one mapping for all
		if len(s.cfg.ObfsKey) > 0 {
			l.covers.Set(a, s.hello.mask)
		}
		if to.proved || !to.has(a) {
			l.underlay.STUN.Add(now, a)
		}
	}
}

// recall has a supernode tried where it answered in the run before, since the answer of a
// name server may take long or never come. What answers there is known by its key.
func (l *locator) recall(now time.Time, s *supernode) (begin bool) {
	good := l.state.supernodeAddress(s.cfg.Name)
	if s.where.name == nil || s.key == nil || good.Port() != s.cfg.Port {
		return false
	}
	s.where.good = good
	l.place(now, s)
	return true
}

// answeredAt notes where a supernode has answered by UDP.
func (l *locator) answeredAt(s *supernode, from netip.AddrPort) {
	if s.where.good == from {
		return
	}
	s.where.good = from
	l.keep(s)
}

// keep has the next start know where a supernode answered. A second one has no name: as
// long as the first answers, that is better known.
func (l *locator) keep(s *supernode) {
	if s.where.name != nil && s.where.good.IsValid() {
		l.state.keepSupernodeAddress(s.cfg.Name, s.where.good)
	}
}

// trusted keeps the key of a supernode that was seen for the first time. The next start must
// not trust anew, however soon we end.
func (l *locator) trusted(s *supernode, key [32]byte) {
	l.state.pinSupernode(s.cfg.Name, key)
	l.state.keep()
}

// tellMoved tells the user that a name stands for another host now, of each address once:
// some name servers give out several in turn.
func (l *locator) tellMoved(now time.Time, s *supernode) {
	to := s.kin.second.addr()
	if slices.Contains(s.where.moved, to) || len(s.where.moved) == maxTold {
		return
	}
	s.where.moved = append(s.where.moved, to)
	text := control.NameMoved(s.cfg.Name, to, s.hop.at)
	l.reports.report(now, control.Event{Kind: control.EventNameMoved, Supernode: s.cfg.Name, Addr: to, Text: text})
}
