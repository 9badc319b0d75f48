package portmap

import (
	"context"
	"errors"
	"time"

	"hedgerow/internal/handover"
)

// A lease is a mapping that a router has granted.
type lease struct {
	router
	protocol Protocol
	service  service
	grant    grant
	until    time.Time // when the router forgets it
	renew    time.Time // when to ask for more
	check    time.Time // when to ask whether it is still there
}

// newLease maps a port at a service. It deletes a mapping at an address that is
// not public again: no peer reaches us there.
func newLease(ctx context.Context, r router, p Protocol, s service, port uint16) (*lease, error) {
	l := &lease{router: r, protocol: p, service: s}
	err := l.ask(ctx, port)
	if err == nil {
		return l, nil
	}
	if ctx.Err() != nil {
		l.release(ctx) // the router may have granted it, and nothing will renew it
	}
	return nil, err
}

// ask asks for the mapping, or renews it.
func (l *lease) ask(ctx context.Context, port uint16) error {
	limit, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	// The router counts from a moment that is not before this one.
	now := time.Now()
	g, err := l.service.request(limit, want{port, l.grant.external, lifetime})
	if err != nil {
		return inTime(err)
	}
	l.grant = g
	l.until = now.Add(g.lifetime)
	l.renew = now.Add(max(g.lifetime/2, minRenew))
	l.check = now.Add(checkEvery)
	if !public(g.external.Addr()) {
		l.release(ctx)
		return behindNAT(g.external.Addr())
	}
	return nil
}

// extend renews the lease. If the router is silent, it is asked again when half
// of the remaining time is over; the error is nil until no time remains.
func (l *lease) extend(ctx context.Context, port uint16) error {
	err := l.ask(ctx, port)
	if err == nil || !isSilent(err) {
		return err
	}
	now := time.Now()
	if !now.Before(l.until) {
		return err
	}
	l.renew = now.Add(max(l.until.Sub(now)/2, minRenew))
	return nil
}

// inspect asks the router whether it still has the mapping.
func (l *lease) inspect(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, requestTime)
	defer cancel()
	return l.service.check(limit)
}

// release deletes the mapping, also when ctx has ended, but not where that is since another
// process has the port now. That it fails does not matter: the router forgets it when its time
// is over.
func (l *lease) release(ctx context.Context) {
	if errors.Is(context.Cause(ctx), handover.ErrHandedOver) {
		return
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), releaseTime)
	defer cancel()
	_ = l.service.release(limit)
}

// mapping returns the lease as it is reported.
func (l *lease) mapping() Mapping {
	return Mapping{External: l.grant.external, Protocol: l.protocol, Until: l.until}
}
