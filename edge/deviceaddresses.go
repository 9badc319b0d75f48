package edge

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/tap"
)

// leaseEvery is how often the lease is compared with this host's networks anew: a
// route that comes without an address is told by nobody.
const leaseEvery = 30 * time.Second

// deviceAddresses are the addresses of the TAP device: the IPv6 address that
// follows from our identity, and the IPv4 address that the user wants or a
// supernode leases.
type deviceAddresses struct {
	cfg        Address
	rules      leaseRules
	supernodes supernodes
	device     Device
	underlay   *underlay.Underlay
	state      *state
	reports    *reporter
	log        *slog.Logger
	lease      netip.Prefix // that the device has; zero: none
	prefixes   []netip.Prefix
	trouble    addressTrouble
	changed    bool // peers have to be told
	taken      bool // every supernode says that another edge has the static address: Run has to end
	timers     timer.Queue
	checking   timer.Timer // when the lease is compared with this host's networks
}

// addressTrouble is what is wrong with the addresses.
type addressTrouble struct {
	faults    map[netip.Prefix]string     // what the device did not take, or keeps, and why
	told      [maxSupernodes]protocol.MAC // of who has the static address, by supernode
	contested func(now time.Time)         // another member may have the lease
	assumed   bool                        // the lease is from before the start: no supernode has granted it yet
}

// open makes the timer.
func (a *deviceAddresses) open() {
	a.trouble.faults = make(map[netip.Prefix]string)
	a.checking = timer.New(&a.timers, "compare the lease with the host's networks", a.check)
}

func (a *deviceAddresses) deadline() time.Time { return a.timers.Next() }
func (a *deviceAddresses) tick(now time.Time)  { a.timers.Run(now) }

// wanted returns the address that a supernode is asked for: what the user
// wants, else the one that we have already, so that several supernodes agree.
func (a *deviceAddresses) wanted(s *supernode) netip.Prefix {
	switch {
	case a.cfg.Mode == AddressNone, a.without(s):
		return netip.Prefix{}
	case a.lease.IsValid() && !a.trouble.assumed:
		return a.lease
	case a.cfg.Mode != AddressLease:
		return a.cfg.Prefix
	}
	return a.state.lease()
}

// features returns what a REGISTER says about the address it wants.
func (a *deviceAddresses) features(s *supernode) uint32 {
	switch {
	case a.cfg.Mode == AddressNone, a.without(s):
		return protocol.FeatureNoAddress
	case a.cfg.Mode == AddressStatic:
		return protocol.FeatureStatic
	}
	return 0
}

// without reports whether we register with a supernode without an address: another one has
// there what we have from elsewhere and insist on.
func (a *deviceAddresses) without(s *supernode) bool {
	return a.cfg.Mode == AddressStatic && a.lease.IsValid() && !a.trouble.assumed && !s.grant.holder.IsZero()
}

// assume gives the device the address that the user insists on, or the one of the last run,
// before a supernode has granted it: while none answers, members reach each other by it all
// the same. The first supernode that answers decides.
func (a *deviceAddresses) assume(now time.Time) {
	last := a.state.lease()
	switch a.cfg.Mode {
	case AddressStatic:
		last = a.cfg.Prefix
	case AddressNone:
		return
	}
	if last.IsValid() && a.rules.fault(last) == "" {
		a.give(now, last)
		a.trouble.assumed = true
		a.checkLater(now)
	}
}

// confirmed notes that a supernode grants the address that the device has.
func (a *deviceAddresses) confirmed(now time.Time) {
	if a.trouble.assumed {
		a.trouble.assumed = false
		a.state.keepLease(a.lease)
	}
	if !a.checking.IsSet() {
		a.checkLater(now)
	}
}

// stands reports whether the device keeps its address where a supernode leases another one:
// an address must not change under open connections, but where another member has it, too
// (duplicates.go). One that nobody has granted does not stand, and a network that has grown
// since is taken.
func (a *deviceAddresses) stands(lease netip.Prefix) bool {
	grown := a.cfg.Mode != AddressStatic && lease.Addr() == a.lease.Addr() && lease.Bits() < a.lease.Bits()
	return a.lease.IsValid() && !a.trouble.assumed && !grown
}

// elsewhere notes who has the address that we insist on at a supernode that refuses it. It
// reports whether we have the address from another one: then we register without it, so
// that the two members with one address meet, and tell their users.
func (a *deviceAddresses) elsewhere(s *supernode, holder protocol.MAC) bool {
	s.grant.holder = holder
	return a.without(s)
}

// granted gives the device the address that a supernode granted, unless the rules
// are against it: then the edge goes on without one, or with the one that it has.
func (a *deviceAddresses) granted(now time.Time, s *supernode, m protocol.Ack) {
	g := &s.grant
	before := g.offer
	switch g.offer = m.Lease; {
	case m.Code == protocol.CodePool:
		a.exhausted(now, s)
	case m.Code == protocol.CodeIPTaken:
		g.holder = m.Holder
	case m.Lease.IsValid():
		g.holder, s.reported.exhausted = protocol.MAC{}, false
	}
	if !g.holder.IsZero() {
		a.trouble.contested(now)
	}
	switch {
	case !m.Lease.IsValid():
		g.fault = ""
		return
	case m.Lease == a.lease:
		g.fault = ""
		a.confirmed(now)
		return
	case !a.checking.IsSet():
		a.checkLater(now)
	}
	if why := a.rules.fault(m.Lease); why != "" {
		if a.trouble.assumed {
			a.remove(now)
		}
		a.refuse(now, s, why)
		return
	}
	g.fault = ""
	if a.stands(m.Lease) {
		if before != m.Lease {
			a.log.Warn("a supernode leases another address than the one in use", "supernode", s, "in use", a.lease, "leased", m.Lease, "holder", g.holder)
		}
		return
	}
	if m.Code == protocol.CodeIPTaken {
		a.reports.report(now, control.Event{Kind: control.EventAddressReplaced, Prefix: m.Lease, Wanted: a.cfg.Prefix, MAC: m.Holder})
	}
	if !a.lease.IsValid() || a.remove(now) {
		a.have(now, m.Lease)
	}
}

// exhausted notes that a supernode has no free address for us. What we assumed is another
// member's there.
func (a *deviceAddresses) exhausted(now time.Time, s *supernode) {
	if a.trouble.assumed {
		a.remove(now)
	}
	told := s.reported.exhausted
	if s.reported.exhausted = true; !a.lease.IsValid() && !told {
		a.reports.report(now, control.Event{Kind: control.EventNoLease, Supernode: s.cfg.Name, Text: control.NoLease(s.cfg.Name)})
	}
}

// have gives the device a lease, and keeps it for the next start.
func (a *deviceAddresses) have(now time.Time, lease netip.Prefix) {
	a.give(now, lease)
	a.state.keepLease(lease)
}

// give gives the device a lease.
func (a *deviceAddresses) give(now time.Time, lease netip.Prefix) {
	a.lease, a.trouble.assumed = lease, false
	a.set(now, lease)
	a.reports.report(now, control.Event{Kind: control.EventLease, Prefix: lease})
}

// refuse notes why a lease is not taken. The user is told when the reason is
// another one, but not more than once in leaseEvery by one supernode.
func (a *deviceAddresses) refuse(now time.Time, s *supernode, why string) {
	g := &s.grant
	if g.fault == why {
		return
	}
	g.fault = why
	if g.faultAt.IsZero() || now.Sub(g.faultAt) >= leaseEvery {
		g.faultAt = now
		a.reports.report(now, control.Event{Kind: control.EventLeaseRefused, Supernode: s.cfg.Name, Prefix: g.offer, Text: why})
	}
}

// checkLater has the leases compared the next time that everything is done that can wait.
func (a *deviceAddresses) checkLater(now time.Time) {
	a.checking.Set(a.underlay.Addresses.Policy().Next(now, leaseEvery))
}

// check compares the leases with this host's networks again, which may have changed:
// a lease that collides with them now is given up, and one that no longer does is
// taken.
func (a *deviceAddresses) check(now time.Time) {
	a.checkLater(now)
	if a.lease.IsValid() {
		if why := a.rules.fault(a.lease); why != "" {
			a.giveUp(now, why)
		}
	}
	for _, s := range a.supernodes {
		if offer := s.grant.offer; !a.lease.IsValid() && s.registered() && offer.IsValid() {
			if why := a.rules.fault(offer); why != "" {
				a.refuse(now, s, why)
				continue
			}
			s.grant.fault = ""
			a.have(now, offer)
		}
	}
}

// giveUp takes the lease from the device.
func (a *deviceAddresses) giveUp(now time.Time, why string) {
	lost := a.lease
	if !a.remove(now) {
		return
	}
	for _, s := range a.supernodes {
		if s.grant.offer == lost {
			a.refuse(now, s, why)
		}
	}
}

// remove takes the lease from the device, and reports whether it could.
func (a *deviceAddresses) remove(now time.Time) bool {
	lost := a.lease
	if err := a.device.RemoveAddress(lost); err != nil {
		a.log.Error("cannot take its address from the device", "address", lost, "err", err)
		a.trouble.faults[lost] = fmt.Sprintf("the device keeps the address %s, which is no longer this edge's: %v. Type 'ip addr del', the address and the device.", lost, err)
		return false
	}
	delete(a.trouble.faults, lost)
	a.lease, a.trouble.assumed = netip.Prefix{}, false
	a.prefixes = slices.DeleteFunc(a.prefixes, func(p netip.Prefix) bool { return p == lost })
	a.underlay.Addresses.Allow(now, lost.Masked())
	a.changed = true
	return true
}

// replace gives the device another lease in the place of the one that it has, and reports
// whether it could.
func (a *deviceAddresses) replace(now time.Time, lease netip.Prefix) bool {
	if a.rules.fault(lease) != "" || !a.remove(now) {
		return false
	}
	a.have(now, lease)
	return true
}

// outside returns the addresses that no lease may hold: those of the supernodes in the
// network below, and those of this host there if nothing tells of its networks. What does
// tell of them knows which are the overlay's: a bridge that the device is a port of has an
// address of the overlay.
func (a *deviceAddresses) outside(interfaces func() ([]netip.Addr, error)) (list []netip.Addr) {
	if a.rules.overlap == nil {
		all, _ := interfaces() // underlay.Addresses warns of an error
		list = slices.DeleteFunc(slices.Clone(all), func(x netip.Addr) bool { return a.lease.IsValid() && x == a.lease.Addr() })
	}
	for _, s := range a.supernodes {
		for _, at := range s.where.addrs {
			list = append(list, at.Addr())
		}
		if s.hop.at.IsValid() && !underlay.IsSide(s.hop.at) {
			list = append(list, s.hop.at.Addr())
		}
	}
	return list
}

// refused notes that another edge has the address that we insist on. Run ends when
// no supernode is left that could grant it: one alone must not stop an edge that
// others serve.
func (a *deviceAddresses) refused(now time.Time) {
	if a.trouble.assumed {
		a.remove(now)
	}
	a.taken = a.cfg.Mode == AddressStatic && !a.lease.IsValid() && !slices.ContainsFunc(a.supernodes, func(s *supernode) bool {
		return !s.dormant() && s.reported.refused != protocol.CodeIPTaken
	})
}

// set gives the device an address and keeps its subnet out of the candidates:
// no peer is reached through the overlay itself.
func (a *deviceAddresses) set(now time.Time, prefix netip.Prefix) {
	if err := a.device.SetAddress(prefix); err != nil {
		a.failed(prefix, err)
		return
	}
	delete(a.trouble.faults, prefix)
	if !slices.Contains(a.prefixes, prefix) { // another process may have set it before
		a.prefixes = append(a.prefixes, prefix)
	}
	a.underlay.Addresses.Forbid(now, prefix.Masked())
	a.changed = true
}

// failed notes that the device did not get an address. A machine without IPv6 is one whose
// user wants none.
func (a *deviceAddresses) failed(prefix netip.Prefix, err error) {
	if errors.Is(err, tap.ErrNoIPv6) {
		a.log.Info("the device has no IPv6 address, since this machine has no IPv6", "err", err)
		return
	}
	a.trouble.faults[prefix] = fmt.Sprintf("the device has not got its address %s: %v. Nobody reaches this host there.", prefix, err)
	a.log.Error("cannot give the device its address", "address", prefix, "err", err)
}

// notes says for status which leases are not taken and why, and what the device did not do.
func (a *deviceAddresses) notes() (list []string) {
	for _, p := range byAddress(slices.Collect(maps.Keys(a.trouble.faults))) {
		list = append(list, a.trouble.faults[p])
	}
	for _, s := range a.supernodes {
		if g := &s.grant; s.registered() && !g.holder.IsZero() && g.offer != a.lease && a.lease.IsValid() {
			offer := "nothing"
			if g.offer.IsValid() {
				offer = g.offer.Addr().String()
			}
			list = append(list, fmt.Sprintf("%s says that %s is the address of %s, and leases %s to this edge, which keeps its own for now. [E51]", s.cfg.Name, a.lease.Addr(), g.holder, offer))
		}
		if s.registered() && s.reported.exhausted && !a.lease.IsValid() {
			list = append(list, control.NoLease(s.cfg.Name))
		}
		if s.grant.fault != "" {
			list = append(list, control.LeaseRefusal(s.cfg.Name, s.grant.offer, s.grant.fault))
		}
	}
	return list
}
