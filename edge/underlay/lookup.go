package underlay

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// Times of look-ups.
const (
	lookUpWait  = 20 * time.Second // bounds one look-up: a name server that is dead costs 5 s before the next is asked
	lookUpSlow  = 4 * time.Second  // without an answer; then it is said
	lookUpFirst = time.Second      // after the first failure, doubling
	lookUpMost  = 30 * time.Second
	nat64Wait   = 3 * time.Second // for the prefix of a NAT64, less than lookUpSlow
)

// maxAnswers is how many addresses of one name are used; more are not.
const maxAnswers = 16

// Names looks up the names of servers in the background.
type Names struct {
	cfg  *Config
	made made
	list []*Name
}

// made is what is known of addresses that a DNS64 makes up.
type made struct {
	settled func() <-chan struct{}               // is closed when they can be told; nil: they can
	inward  func(list []netip.Addr) []netip.Addr // the IPv4 addresses that they stand for
}

// Name is the name of one server. A look-up that fails is repeated, first after a second
// and at last every 30 s, and at once when this host's network has changed.
type Name struct {
	cfg           *Config
	made          *made
	first         bool // it waits for no prefix of a NAT64
	network, host string
	told          func(now time.Time, list []netip.Addr, err error)
	asking        *asking // nil: no look-up is under way
	failures      int     // in a row
	again         timer.Timer
	slow          timer.Timer
}

// asking is a look-up that is under way.
type asking struct {
	end     context.CancelFunc
	servers nameServers
}

// New returns a name that is not looked up yet. told is called by the control loop with
// the outcome of each look-up: some addresses, 16 at most, in the order of RFC 6724; or an
// error, a *net.DNSError if the resolver says so. Addresses that a DNS64 made up are the IPv4
// addresses that they stand for. After 4 s without an outcome told is
// called with an error that names the name servers which were asked, and the look-up goes
// on. network is "ip", "ip4" or "ip6".
func (n *Names) New(network, host string, told func(now time.Time, list []netip.Addr, err error)) *Name {
	x := &Name{cfg: n.cfg, made: &n.made, network: network, host: host, told: told}
	x.again = timer.New(n.cfg.Timers, "look-up", x.LookUp)
	x.slow = timer.New(n.cfg.Timers, "look-up: slow", x.tellSlow)
	n.list = append(n.list, x)
	return x
}

// Drop ends the look-ups of a name, which tells nothing any more; nil: there is none.
func (n *Names) Drop(x *Name) {
	if x != nil {
		x.stop()
		n.list = slices.DeleteFunc(n.list, func(o *Name) bool { return o == x })
	}
}

// networkChanged looks every name up again that has no address yet: name servers may be
// reached now, or others be in use.
func (n *Names) networkChanged(now time.Time) {
	for _, x := range n.list {
		if !x.first && (x.asking != nil || x.failures > 0) {
			x.LookUpAnew(now)
		}
	}
}

// await returns when it is known whether the addresses of a name may be those of a NAT64.
func await(ctx context.Context, settled <-chan struct{}) {
	if settled == nil {
		return
	}
	patience := time.NewTimer(nat64Wait)
	defer patience.Stop()
	select {
	case <-settled:
	case <-patience.C:
	case <-ctx.Done():
	}
}

// LookUp looks the name up, unless that is being done.
func (x *Name) LookUp(now time.Time) {
	if x.asking != nil {
		return
	}
	x.again.Stop()
	x.slow.Set(now.Add(lookUpSlow))
	wanted, end := context.WithCancel(context.Background())
	a := &asking{end: end}
	x.asking = a
	var settled <-chan struct{}
	if !x.first {
		settled = x.made.settled()
	}
	x.cfg.Loop.Go(func(ctx context.Context) {
		defer end()
		ctx, cancel := context.WithTimeout(a.servers.of(ctx), lookUpWait)
		defer cancel()
		defer context.AfterFunc(wanted, cancel)()
		list, err := x.cfg.Resolver.LookupNetIP(ctx, x.network, x.host)
		if err == nil && len(list) == 0 {
			err = errors.New("it has no address")
		}
		if err == nil {
			await(ctx, settled)
		}
		x.cfg.Loop.Do(func(now time.Time) { x.answered(now, a, list, err) })
	})
}

// stop ends the look-up that is under way, and those that would follow.
func (x *Name) stop() {
	if x.asking != nil {
		x.asking.end()
		x.asking = nil
	}
	x.again.Stop()
	x.slow.Stop()
	x.failures = 0
}

// LookUpAnew looks the name up at once. One that is under way counts no more, since it may
// have asked where there was no network yet.
func (x *Name) LookUpAnew(now time.Time) {
	x.stop()
	x.LookUp(now)
}

// Pending reports whether the name is being looked up, or will be since that failed.
func (x *Name) Pending() bool { return x.asking != nil || x.again.IsSet() }

// answered is called with the outcome of a look-up.
func (x *Name) answered(now time.Time, a *asking, list []netip.Addr, err error) {
	if x.asking != a {
		return
	}
	x.asking = nil
	x.slow.Stop()
	if err == nil {
		x.failures = 0
		list = slices.Clone(list[:min(len(list), maxAnswers)])
		for i, a := range list {
			list[i] = a.Unmap()
		}
		if !x.first {
			list = x.made.inward(list)
		}
		x.told(now, list, nil)
		return
	}
	wait := min(lookUpFirst<<min(x.failures, 5), lookUpMost)
	x.failures++
	x.again.Set(now.Add(wait))
	x.told(now, nil, a.servers.blame(err))
}

// tellSlow tells that there is no answer yet.
func (x *Name) tellSlow(now time.Time) {
	x.told(now, nil, x.asking.servers.blame(&net.DNSError{Err: "no answer", Name: x.host, IsTimeout: true}))
}

// lookUpServers looks up the STUN and TURN servers that the configuration names.
func (u *Underlay) lookUpServers(now time.Time) {
	for _, s := range u.cfg.STUN {
		host, port, err := net.SplitHostPort(s)
		n, err2 := strconv.ParseUint(port, 10, 16)
		if err = errors.Join(err, err2); err != nil {
			u.cfg.Log.Warn("not a STUN server", "server", s, "err", err)
			continue
		}
		u.lookUp(now, "ip", host, uint16(n), u.STUN.Add)
	}
	for _, s := range u.cfg.TURN {
		u.lookUp(now, "ip4", s.Host, s.Port, func(now time.Time, a netip.AddrPort) {
			u.TURN.AddServer(now, protocol.TURNServer{Addr: a, User: s.User, Password: s.Password})
		})
	}
}

// lookUp calls found with the first address of a server, at once if its name is an address
// itself, of the family that network names.
func (u *Underlay) lookUp(now time.Time, network, host string, port uint16, found func(now time.Time, a netip.AddrPort)) {
	if a, err := netip.ParseAddr(host); err == nil && (network == "ip" || a.Unmap().Is4()) {
		found(now, netip.AddrPortFrom(a.Unmap(), port))
		return
	}
	u.Names.New(network, host, func(now time.Time, list []netip.Addr, err error) {
		if err != nil {
			u.cfg.Log.Debug("a server cannot be looked up", "host", host, "err", err)
			return
		}
		found(now, netip.AddrPortFrom(list[0], port))
	}).LookUp(now)
}
