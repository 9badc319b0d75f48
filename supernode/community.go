package supernode

import (
	"encoding/hex"
	"net/netip"
	"slices"
	"time"

	"hedgerow/internal/network"
	"hedgerow/protocol"
	"hedgerow/supernode/fair"
)

// community is what the supernode knows of one: the hash of its name, and its
// members.
type community struct {
	id        [16]byte
	nameHash  [32]byte
	pool      netip.Prefix // that its members are leased addresses of
	byMAC     map[protocol.MAC]*registration
	byOwner   map[[32]byte]*registration
	byAddr    map[netip.Addr]*registration // leases
	addresses addresses                    // of the pool: whose they are, and who gives his up
	online    []*registration              // those with a live session, in no order
	seen      map[netip.Addr]int           // how many of them are at an address, by UDP
	name      *name
	late      bool // when its first edge came, others used the name with another key
	crowd     crowd
	listed    int // where in online the next list of members begins
	budget    relayBudget
	crowded   crowdedGroup
}

// crowd is what a community takes up in the tables and in the shares of networks.
type crowd struct {
	number   int        // in registry.list
	since    time.Time  // when somebody came where nobody was; zero: nobody has
	source   netip.Addr // where its first edge came from
	visitors int        // of its registrations
	deserted *network.Place[*community]
}

// crowdedGroup is what a community has waiting where not all can be relayed (crowded.go).
type crowdedGroup struct{ line, loop fair.Group }

// communityText returns a community's id as it is shown.
func communityText(id [16]byte) string { return hex.EncodeToString(id[:]) }

// resized returns a lease with the length that it has today: one of a default pool had
// that of its core once.
func (c *community) resized(p netip.Prefix) netip.Prefix {
	if c.addresses.core.IsValid() && p.IsValid() && p.Bits() == coreBits && c.pool.Contains(p.Addr()) {
		return netip.PrefixFrom(p.Addr(), c.pool.Bits())
	}
	return p
}

// free returns an address of a network that nobody has, for an owner: in the pool, one of
// its core as long as there is any.
func (c *community) free(network netip.Prefix, owner [32]byte) (netip.Prefix, bool) {
	if core := c.addresses.core; core.IsValid() && network.Masked() == c.pool {
		if p, found := chooseAddress(core, owner, &c.addresses.leased); found {
			return c.resized(p), true
		}
	}
	return chooseAddress(network, owner, &c.addresses.leased)
}

// see counts an edge at an address. A stream's address is nobody else's.
func (c *community) see(addr netip.AddrPort) {
	if at := underlayAddr(addr); at.IsValid() {
		c.seen[at.Addr().Unmap()]++
	}
}

// unsee undoes see.
func (c *community) unsee(addr netip.AddrPort) {
	at := underlayAddr(addr)
	if !at.IsValid() {
		return
	}
	if a := at.Addr().Unmap(); c.seen[a] > 1 {
		c.seen[a]--
	} else {
		delete(c.seen, a)
	}
}

// seesAnother reports whether a member with a session other than r is at an address.
func (c *community) seesAnother(r *registration, a netip.Addr) bool {
	n := c.seen[a]
	if own := underlayAddr(r.addr); r.place >= 0 && own.IsValid() && own.Addr().Unmap() == a {
		n--
	}
	return n > 0
}

// nameInUse reports whether an edge that is alone in c is to be told that others use
// the community's name with another key. Whoever was there first is not told: a
// stranger who guesses a name could make its members doubt their key.
func (c *community) nameInUse() bool {
	return c.late && len(c.online) == 1 && c.name.online > len(c.online)
}

// listScan is among how many members latest looks for those that were heard last. In a
// larger community each list looks at others.
const listScan = 1024

// list returns up to n members with a session, for one that has been told as many lists
// before: those that were heard last at first, and then all in turn, since it asks again
// because it did not find whom it looks for. Whoever comes or goes meanwhile may be passed
// over in one round.
func (c *community) list(asker *registration, before, n int) []*registration {
	if before == 0 || len(c.online) <= n {
		return c.latest(asker, n)
	}
	turn := make([]*registration, 0, n)
	for i := range n {
		if r := c.online[((before-1)*n+i)%len(c.online)]; r != asker {
			turn = append(turn, r)
		}
	}
	return turn
}

// latest returns up to n members with a session, without the one that asks, in
// the order in which they were last heard, the latest first.
func (c *community) latest(asker *registration, n int) []*registration {
	list := make([]*registration, 0, n+1)
	scan := min(len(c.online), listScan)
	for i := range scan {
		r := c.online[(c.listed+i)%len(c.online)]
		if r == asker {
			continue
		}
		at, _ := slices.BinarySearchFunc(list, r, func(has, r *registration) int {
			if has.hop.heard.Before(r.hop.heard) {
				return 1
			}
			return -1 // as early: behind it
		})
		if at == n {
			continue
		}
		list = slices.Insert(list, at, r)
		list = list[:min(len(list), n)]
	}
	if scan < len(c.online) {
		c.listed = (c.listed + scan) % len(c.online)
	}
	return list
}

// longestAway returns, of as many members as latest looks at, the one that has been away
// for longest, nil: all are here.
func (c *community) longestAway() (longest *registration) {
	scan := listScan
	for _, r := range c.byMAC {
		if scan--; scan < 0 {
			break
		}
		if r.place < 0 && (longest == nil || r.awaySince().Before(longest.awaySince())) {
			longest = r
		}
	}
	return longest
}
