package edge

import (
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/edge/underlay"
	"hedgerow/protocol"
)

// deviceAddresses are the addresses of the TAP device: the IPv6 address that
// follows from our identity, and the IPv4 address that the user wants or a
// supernode leases.
type deviceAddresses struct {
	cfg      Address
	device   Device
	underlay *underlay.Underlay
	state    *state
	reports  *reporter
	log      *slog.Logger
	lease    netip.Prefix // zero before the first ACK
	prefixes []netip.Prefix
	changed  bool // peers have to be told
	taken    bool // another edge has the static address: Run has to end
}

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

// granted gives the device the address that a supernode granted.
func (a *deviceAddresses) granted(now time.Time, m protocol.Ack) {
	if !m.Lease.IsValid() || m.Lease == a.lease {
		return
	}
	if a.lease.IsValid() {
		// The first lease stands: an address must not change under open
		// connections.
		a.log.Warn("a supernode leases another address than the one in use", "in use", a.lease, "leased", m.Lease)
		return
	}
	if m.Code == protocol.CodeIPTaken {
		a.reports.report(now, Event{Kind: EventAddressReplaced, Prefix: m.Lease, Wanted: a.cfg.Prefix, MAC: m.Holder})
	}
	a.lease = m.Lease
	a.set(now, m.Lease)
	a.state.keepLease(m.Lease)
	a.reports.report(now, Event{Kind: EventLease, Prefix: m.Lease})
}

// refused notes that another edge has the address that we asked for.
func (a *deviceAddresses) refused() {
	if a.cfg.Mode == AddressStatic && !a.lease.IsValid() {
		a.taken = true
	}
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
