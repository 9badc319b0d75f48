package underlay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strconv"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

const (
	lookUpWait  = 10 * time.Second // bounds one look-up, so that the next one can be tried
	lookUpRetry = 30 * time.Second // after one that failed
)

// Resolver turns host names into addresses; *net.Resolver is one.
type Resolver interface {
	// LookupNetIP is that of net.Resolver: network is "ip", "ip4" or "ip6".
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// lookUps resolve the names of servers in the background, again and again until
// they have an address.
type lookUps struct{ cfg *Config }

// lookUp is one name.
type lookUp struct {
	cfg           *Config
	network, host string
	port          uint16
	found         func(now time.Time, a netip.AddrPort)
	again         timer.Timer
}

// start looks a name up, for "ip" or "ip4", and calls found with its first address, at once if the
// name is an address itself, of the family that network names.
func (l *lookUps) start(now time.Time, network, host string, port uint16, found func(now time.Time, a netip.AddrPort)) {
	if a, err := netip.ParseAddr(host); err == nil && (network == "ip" || a.Unmap().Is4()) {
		found(now, netip.AddrPortFrom(a.Unmap(), port))
		return
	}
	x := &lookUp{cfg: l.cfg, network: network, host: host, port: port, found: found}
	x.again = timer.New(l.cfg.Timers, "look-up", x.try)
	x.try(now)
}

// try asks the resolver once.
func (x *lookUp) try(time.Time) {
	x.cfg.Loop.Go(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, lookUpWait)
		defer cancel()
		list, err := x.cfg.Resolver.LookupNetIP(ctx, x.network, x.host)
		if err == nil && len(list) == 0 {
			err = errors.New("it has no address")
		}
		x.cfg.Loop.Do(func(now time.Time) {
			if err != nil {
				x.cfg.Log.Debug("a server cannot be looked up", "host", x.host, "err", err, "again", lookUpRetry)
				x.again.Set(now.Add(lookUpRetry))
				return
			}
			x.found(now, netip.AddrPortFrom(list[0].Unmap(), x.port))
		})
	})
}

// lookUpServers resolves the STUN and TURN servers that the configuration names.
func (u *Underlay) lookUpServers(now time.Time) {
	for _, s := range u.cfg.STUN {
		host, port, err := net.SplitHostPort(s)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err = errors.Join(err, err2); err != nil {
			u.cfg.Log.Warn("not a STUN server", "server", s, "err", err)
			continue
		}
		u.lookUp.start(now, "ip", host, uint16(n), u.STUN.Add)
	}
	for _, s := range u.cfg.TURN {
		u.lookUp.start(now, "ip4", s.Host, s.Port, func(now time.Time, a netip.AddrPort) {
			u.TURN.AddServer(now, protocol.TURNServer{Addr: a, User: s.User, Password: s.Password})
		})
	}
}
