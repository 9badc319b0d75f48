package underlay

import (
	"context"
	"net/netip"
	"time"
)

// LocalNetwork is how an edge learns from the network around it. Where a part is
// nil, that is not looked at.
type LocalNetwork struct {
	// Watch calls changed whenever an address or a route of this host has
	// changed, until ctx ends.
	Watch func(ctx context.Context, changed func()) error
	// LAN finds members on the same LAN without a supernode. It needs Packets.
	LAN LAN
	// Packets seals and opens what is announced there.
	Packets LANPackets
	// Mapper has the router map our UDP port.
	Mapper PortMapper
}

// PortMapper keeps our UDP port mapped on the router (RFC 6887, RFC 6886, UPnP).
type PortMapper interface {
	// Run does so until ctx ends. It calls report with every change: the address
	// by which the internet reaches us, which is not valid when there is none.
	Run(ctx context.Context, report func(external netip.AddrPort))
	// Wake tells that this host's network has changed. It does not block.
	Wake()
}

// watchNetwork has changes of this host's network told.
func (u *Underlay) watchNetwork() {
	watch := u.cfg.Network.Watch
	if watch == nil {
		return
	}
	u.cfg.Loop.Go(func(ctx context.Context) {
		err := watch(ctx, func() { u.cfg.Loop.Do(u.NetworkChanged) })
		if err != nil && ctx.Err() == nil {
			u.cfg.Log.Warn("changes of this host's network will be noticed late", "err", err)
		}
	})
}

// mapPort has our port mapped, and the mapped address become a candidate.
func (u *Underlay) mapPort() {
	mapper := u.cfg.Network.Mapper
	if mapper == nil {
		return
	}
	u.cfg.Loop.Go(func(ctx context.Context) {
		mapper.Run(ctx, func(external netip.AddrPort) {
			u.cfg.Loop.Do(func(now time.Time) {
				u.cfg.Log.Debug("the router's mapping has changed", "external", external)
				u.Addresses.setMapped(now, external)
			})
		})
	})
}

// NetworkChanged is called when the addresses or routes of this host have changed,
// or may have, as after a suspension: whatever was measured from them is measured
// again, and the Observer is told.
func (u *Underlay) NetworkChanged(now time.Time) {
	u.cfg.Log.Debug("the network of this host has changed")
	u.Addresses.forget(now)
	u.Names.networkChanged(now)
	u.STUN.hurry(now)
	u.TURN.hurry(now)
	u.Ports.forget()
	u.Lifetime.forget(now)
	if u.cfg.Network.Mapper != nil {
		u.cfg.Network.Mapper.Wake()
	}
	u.LAN.announceBy(now)
	u.cfg.Observer.NetworkChanged(now)
}
