package edge

import (
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/control"
	"hedgerow/edge/underlay"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
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
	changed    bool // peers have to be told
	taken      bool // every supernode says that another edge has the static address: Run has to end
	timers     timer.Queue
	checking   timer.Timer // when the lease is compared with this host's networks
}

// open makes the timer.
func (a *deviceAddresses) open() {
	a.checking = timer.New(&a.timers, "compare the lease with the host's networks", a.check)
}

func (a *deviceAddresses) deadline() time.Time { return a.timers.Next() }
func (a *deviceAddresses) tick(now time.Time)  { a.timers.Run(now) }

// wanted returns the address that a supernode is asked for: what the user
// wants, else the one that we have already, so that several supernodes agree.
func (a *deviceAddresses) wanted() netip.Prefix {
	switch {
	case a.cfg.Mode == AddressNone:
		return netip.Prefix{}
	case a.lease.IsValid():
		return a.lease
	case a.cfg.Mode != AddressLease:
		return a.cfg.Prefix
	}
	return a.state.lease()
}

// features returns what a REGISTER says about the address it wants.
func (a *deviceAddresses) features() uint32 {
	switch a.cfg.Mode {
	case AddressStatic:
		return protocol.FeatureStatic
	case AddressNone:
		return protocol.FeatureNoAddress
	}
	return 0
}

// granted gives the device the address that a supernode granted, unless the rules
// are against it: then the edge goes on without one, or with the one that it has.
func (a *deviceAddresses) granted(now time.Time, s *supernode, m protocol.Ack) {
	g := &s.grant
	g.offer = m.Lease
	switch {
	case !m.Lease.IsValid() || m.Lease == a.lease:
		g.fault = ""
		return
	case !a.checking.IsSet():
		a.checking.Set(now.Add(leaseEvery))
	}
	if why := a.rules.fault(m.Lease); why != "" {
		a.refuse(now, s, why)
		return
	}
	g.fault = ""
	if a.lease.IsValid() {
		// The first lease stands: an address must not change under open
		// connections.
		if g.second != m.Lease {
			g.second = m.Lease
			a.log.Warn("a supernode leases another address than the one in use", "in use", a.lease, "leased", m.Lease)
		}
		return
	}
	if m.Code == protocol.CodeIPTaken {
		a.reports.report(now, control.Event{Kind: control.EventAddressReplaced, Prefix: m.Lease, Wanted: a.cfg.Prefix, MAC: m.Holder})
	}
	a.have(now, m.Lease)
}

// have gives the device a lease.
func (a *deviceAddresses) have(now time.Time, lease netip.Prefix) {
	a.lease = lease
	a.set(now, lease)
	a.state.keepLease(lease)
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

// check compares the leases with this host's networks again, which may have changed:
// a lease that collides with them now is given up, and one that no longer does is
// taken.
func (a *deviceAddresses) check(now time.Time) {
	a.checking.Set(now.Add(leaseEvery))
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
	if err := a.device.RemoveAddress(lost); err != nil {
		a.log.Error("cannot take its address from the device", "address", lost, "err", err)
		return
	}
	a.lease = netip.Prefix{}
	a.prefixes = slices.DeleteFunc(a.prefixes, func(p netip.Prefix) bool { return p == lost })
	a.underlay.Addresses.Allow(now, lost.Masked())
	a.changed = true
	for _, s := range a.supernodes {
		if s.grant.offer == lost {
			a.refuse(now, s, why)
		}
	}
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
func (a *deviceAddresses) refused() {
	a.taken = a.cfg.Mode == AddressStatic && !a.lease.IsValid() && !slices.ContainsFunc(a.supernodes, func(s *supernode) bool {
		return s.reported.refused != protocol.CodeIPTaken
	})
}

// set gives the device an address and keeps its subnet out of the candidates:
// no peer is reached through the overlay itself.
func (a *deviceAddresses) set(now time.Time, prefix netip.Prefix) {
	if err := a.device.SetAddress(prefix); err != nil {
		a.log.Error("cannot give the device its address", "address", prefix, "err", err)
		return
	}
	a.prefixes = append(a.prefixes, prefix)
	a.underlay.Addresses.Forbid(now, prefix.Masked())
	a.changed = true
}

// notes says for status which leases are not taken and why.
func (a *deviceAddresses) notes() (list []string) {
	for _, s := range a.supernodes {
		if s.grant.fault != "" {
			list = append(list, control.LeaseRefusal(s.cfg.Name, s.grant.offer, s.grant.fault))
		}
	}
	return list
}
