package underlay

import (
	"context"
	"net/netip"
	"time"

	"hedgerow/nat/nat64"
)

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
	u.NAT64.networkChanged(now)
	u.remeasure(now)
}

// remeasure has everything measured again, since packets travel by another way.
func (u *Underlay) remeasure(now time.Time) {
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

// watchRouters has the prefixes told that routers advertise.
func (u *Underlay) watchRouters() {
	watch := u.cfg.Network.Routers
	if watch == nil || u.cfg.Transports.NAT64 == nil {
		return
	}
	u.cfg.Loop.Go(func(ctx context.Context) {
		err := watch(ctx, func(p nat64.Prefix, lifetime time.Duration) {
			u.cfg.Loop.Do(func(now time.Time) { u.NAT64.heard(now, p, lifetime) })
		})
		if err != nil && ctx.Err() == nil {
			u.cfg.Log.Debug("router advertisements are not heard", "err", err)
		}
	})
}
