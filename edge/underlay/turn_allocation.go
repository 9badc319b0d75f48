package underlay

import (
	"context"
	"net/netip"
	"time"

	"hedgerow/internal/bucket"
)

// allocation is an allocation on a TURN server, asked for or made, and the
// addresses that stand for the peers behind it.
type allocation struct {
	client    TURNClient
	sides     *sideAddresses
	relayed   netip.AddrPort           // not valid while it is only asked for
	permitted map[netip.Addr]time.Time // when each was needed last
	requests  bucket.Bucket            // for permissions
}

// allocate asks a server for a relayed address in the background.
func (t *TURN) allocate(now time.Time, x *turnServer) {
	x.backOff.Set(now.Add(min(allocateRetry<<min(x.failures, 6), allocateMost)))
	a := &allocation{permitted: make(map[netip.Addr]time.Time)}
	a.sides = newSideAddresses(t.cfg, func(far netip.AddrPort, pkt []byte) { _ = a.client.Write(far, pkt) })
	client, receiver, err := t.cfg.Transports.TURN(TURNConfig{
		Server: x.addr, User: x.user, Password: x.password, Send: t.cfg.Sender.Send, Receive: a.sides.deliver,
	})
	if err != nil {
		a.sides.end()
		t.allocateFailed(x, err)
		return
	}
	a.client = client
	x.allocation = a
	t.cfg.Receivers.Receive(now, x.addr, receiver) // the answers are to reach it
	t.holding.Add(1)
	t.cfg.Loop.Go(func(ctx context.Context) {
		defer t.holding.Done()
		t.hold(ctx, x, a)
	})
}

// GiveBack waits until every allocation has been given back, for which a client
// needs a second at most. It is called when the context of the loop's goroutines
// has ended: before the data socket is closed, and while what comes by it still
// reaches the Receivers.
func (t *TURN) GiveBack() { t.holding.Wait() }

// hold keeps an allocation until it is lost or the edge ends.
func (t *TURN) hold(ctx context.Context, x *turnServer, a *allocation) {
	defer a.sides.end()
	defer a.client.Close()
	relayed, err := a.client.Allocate(ctx)
	if err != nil {
		t.cfg.Loop.Do(func(now time.Time) {
			t.forget(now, x)
			t.allocateFailed(x, err)
		})
		return
	}
	t.cfg.Loop.Do(func(now time.Time) { t.allocated(now, x, relayed) })
	select {
	case <-a.client.Done():
		t.cfg.Loop.Do(func(now time.Time) { t.lost(now, x) })
	case <-ctx.Done():
	}
}

// allocated makes an allocation a candidate, and has it let through whoever needs
// it.
func (t *TURN) allocated(now time.Time, x *turnServer, relayed netip.AddrPort) {
	x.failures, x.failed = 0, ""
	x.allocation.relayed = relayed
	t.cfg.Log.Info("a TURN relay stands ready", "server", x.addr, "relayed", relayed)
	t.gather(now)
	t.permit(now, x, t.needs.addrs(now))
}

// allocateFailed notes why there is no allocation. The user is told once, the log
// at debug level each time.
func (t *TURN) allocateFailed(x *turnServer, err error) {
	x.failures++
	if text := err.Error(); text != x.failed {
		x.failed = text
		t.cfg.Log.Warn("the TURN server gives no relay", "server", x.addr, "err", err)
	}
	t.cfg.Log.Debug("no allocation", "server", x.addr, "failures", x.failures, "again", x.backOff.At(), "err", err)
}

// lost forgets an allocation that the server no longer holds. Another one is asked
// for as soon as it is needed, but not within 5 s of the last request.
func (t *TURN) lost(now time.Time, x *turnServer) {
	t.cfg.Log.Debug("an allocation was lost", "server", x.addr, "relayed", x.allocation.relayed)
	t.forget(now, x)
	t.gather(now)
	if !x.backOff.IsSet() {
		x.backOff.Set(now)
	}
}

// forget ends what a server's allocation is used for.
func (t *TURN) forget(now time.Time, x *turnServer) {
	x.allocation = nil
	t.cfg.Receivers.Receive(now, x.addr, nil)
}

// gather makes candidates of the allocations that there are.
func (t *TURN) gather(now time.Time) {
	var list []netip.AddrPort
	for _, x := range t.servers {
		if x.allocation != nil && x.allocation.relayed.IsValid() {
			list = append(list, x.allocation.relayed)
		}
	}
	t.addresses.setRelayed(now, list)
}

// permit has an allocation let through what comes from addresses that need it. When
// there is no room for one more, the address goes that was not needed for longest: the
// client lets the server's permission end likewise.
func (t *TURN) permit(now time.Time, x *turnServer, needed []netip.Addr) {
	a := x.allocation
	var fresh []netip.Addr
	for _, p := range needed {
		if _, permitted := a.permitted[p]; !permitted {
			if !a.room(now) || !a.requests.Take(now, 1, permitRate, permitBurst) {
				t.cfg.refuse(RefusedTURNPeer, netip.AddrPortFrom(p, 0), nil)
				continue
			}
			fresh = append(fresh, p)
		}
		a.permitted[p] = now
	}
	if len(fresh) == 0 {
		return
	}
	t.cfg.Loop.Go(func(ctx context.Context) {
		if err := a.client.Permit(ctx, fresh...); err != nil {
			t.cfg.Log.Debug("the TURN server permits less than was asked for", "server", x.addr, "addresses", fresh, "err", err)
		}
	})
}

// room makes room for one more address, and reports whether it could: those that are
// needed now stay.
func (a *allocation) room(now time.Time) bool {
	if len(a.permitted) < maxPermitted {
		return true
	}
	var idle netip.Addr
	for p, at := range a.permitted {
		if now.Sub(at) >= NeedLasts && (!idle.IsValid() || at.Before(a.permitted[idle])) {
			idle = p
		}
	}
	delete(a.permitted, idle)
	return idle.IsValid()
}
