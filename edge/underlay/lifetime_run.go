package underlay

import (
	"context"
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

const (
	// lifetimeOpen is for how long a mapping is in use before it is left alone. Linux
	// keeps one for longer whose packets went both ways for more than 2 s.
	lifetimeOpen  = 2500 * time.Millisecond
	lifetimeAsks  = 3                      // meanwhile
	lifetimeTry   = 700 * time.Millisecond // for an answer
	lifetimeTries = 3
)

// lifetimeRun is one measurement.
type lifetimeRun struct {
	cfg    *Config
	server netip.AddrPort
	began  time.Time
	silent *asker // whose mapping is left alone
}

// do returns the measurement as a function for Loop.Go. It hands found the index of the
// longest of lifetimes that a mapping survives.
func (r lifetimeRun) do(found func(now time.Time, survives int)) func(ctx context.Context) {
	return func(ctx context.Context) {
		survives := survivesNone
		for i, l := range lifetimes {
			lives, able := r.survives(ctx, l.survives)
			if !able {
				survives = survivesUnknown
				break
			}
			if lives {
				survives = i
				break
			}
		}
		r.cfg.Loop.Do(func(now time.Time) { found(now, survives) })
	}
}

// survives reports whether a mapping lives on after a time without a packet. It is not
// able to tell where the server does not send to another port than the one that asks, or
// the NAT gives two sockets two addresses.
func (r *lifetimeRun) survives(ctx context.Context, silence time.Duration) (lives, able bool) {
	var ok bool
	if r.silent, ok = r.cfg.openAsker(r.server); !ok {
		return false, false
	}
	defer r.silent.close()
	other, ok := r.cfg.openAsker(r.server)
	if !ok {
		return false, false
	}
	defer other.close()
	seen, ok := r.open(ctx)
	if !ok {
		return false, false
	}
	if _, able = r.ask(ctx, other, seen.Port()); !able || !sleep(ctx, silence) {
		return false, false
	}
	_, lives = r.ask(ctx, other, seen.Port())
	return lives, ctx.Err() == nil
}

// open asks from the silent socket for as long as lifetimeOpen, and returns where the server
// sees it. Its requests are longer than all that will come back to it, and what others lose.
func (r *lifetimeRun) open(ctx context.Context) (seen netip.AddrPort, ok bool) {
	for i := range lifetimeAsks {
		if i > 0 && !sleep(ctx, lifetimeOpen/(lifetimeAsks-1)) {
			return netip.AddrPort{}, false
		}
		if seen, ok = r.ask(ctx, r.silent, 0); !ok {
			return netip.AddrPort{}, false
		}
	}
	return seen, true
}

// ask sends a request from a socket, and waits for the answer at the silent one; port is that
// of its mapping, or 0 where it is the one that asks. It returns where the server sees the
// socket that has asked.
func (r *lifetimeRun) ask(ctx context.Context, from *asker, port uint16) (seen netip.AddrPort, ok bool) {
	var asked address.Bindings
	for range lifetimeTries {
		q, err := asked.Request(r.began, r.cfg.Random, r.server, port)
		if err != nil {
			return netip.AddrPort{}, false
		}
		from.conn.Send(q.To, 0, q.Packet)
		try, end := context.WithTimeout(ctx, lifetimeTry)
		seen, ok = r.silent.seen(try, r.began, &asked)
		end()
		if ok || ctx.Err() != nil {
			break
		}
	}
	return seen, ok
}

// sleep waits, and reports whether that was not cut short.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
