package underlay

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// NeedLasts is how long a call of TURN.Need holds.
const NeedLasts = 2 * time.Second

// turnNeeds are the addresses of peers that need a TURN server, at most 256.
type turnNeeds struct {
	cfg   *Config
	any   time.Time                // until when any peer needs one, at whatever address
	until map[netip.Addr]time.Time // until when that one is to be let through
}

// add notes the addresses of a peer that needs a TURN server, and returns those that are
// to be let through.
func (n *turnNeeds) add(now time.Time, addrs []netip.Addr) []netip.Addr {
	n.any = now.Add(NeedLasts)
	needed := make([]netip.Addr, 0, min(len(addrs), peerPermitted))
	for _, a := range addrs {
		if a.IsPrivate() {
			continue
		}
		if len(needed) == peerPermitted {
			n.cfg.refuse(RefusedTURNPeer, netip.AddrPortFrom(a, 0), nil)
			break
		}
		if _, known := n.until[a]; !known && len(n.until) >= maxPermitted && !n.expire(now) {
			n.cfg.refuse(RefusedTURNPeer, netip.AddrPortFrom(a, 0), nil)
			continue
		}
		n.until[a] = n.any
		needed = append(needed, a)
	}
	return needed
}

// addrs returns all addresses that are to be let through now, in order.
func (n *turnNeeds) addrs(now time.Time) []netip.Addr {
	n.expire(now)
	return slices.SortedFunc(maps.Keys(n.until), netip.Addr.Compare)
}

// expire forgets needs whose time is over and reports whether there is room.
func (n *turnNeeds) expire(now time.Time) bool {
	maps.DeleteFunc(n.until, func(_ netip.Addr, until time.Time) bool { return !now.Before(until) })
	return len(n.until) < maxPermitted
}
