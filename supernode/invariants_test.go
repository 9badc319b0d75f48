package supernode

import (
	"fmt"
	"maps"
	"net/netip"

	"hedgerow/internal/network"
)

// invariants returns what is wrong with the tables of a supernode: what has to hold
// after every datagram, whoever sent it.
func (s *Server) invariants() (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	g := s.registry
	s.checkRegistrations(fault)
	s.checkCommunities(fault)
	s.checkSessions(fault)

	// What is counted for each network is what is there.
	shares := map[network.Key]share{}
	add := func(source netip.Addr, registrations, communities int) {
		for _, k := range network.Of(source) {
			has := shares[k]
			has.registrations += registrations
			has.communities += communities
			shares[k] = has
		}
	}
	visitors, deserted := 0, 0
	for _, r := range g.all {
		add(r.seat.source, 1, 0)
		if r.seat.visit != nil {
			visitors++
		}
	}
	for _, c := range g.communities {
		add(c.crowd.source, 0, 1)
		if c.crowd.deserted != nil {
			deserted++
		}
	}
	if len(shares) != len(g.shares.of) || g.shares.visitors.Len() != visitors || g.shares.deserted.Len() != deserted {
		fault("%d networks, %d visitors, %d deserted communities are counted, there are %d, %d and %d",
			len(g.shares.of), g.shares.visitors.Len(), g.shares.deserted.Len(), len(shares), visitors, deserted)
	}
	for k, has := range shares {
		if g.shares.of[k] != has {
			fault("network %v is counted as %+v, it has %+v", k, g.shares.of[k], has)
		}
		sources := 1
		if k == network.Of(proxies)[k.Level()] || g.front.at.IsValid() && k == network.Of(g.front.at)[k.Level()] {
			sources = proxyShare
		}
		if has.registrations > sources*g.limits.edgesAt(k.Level()) || has.communities > sources*g.limits.communitiesAt(k.Level()) {
			fault("network %v has more than its share: %+v", k, has)
		}
	}
	if len(g.byHandle) > g.limits.Edges || len(g.communities) > g.limits.Communities {
		fault("%d registrations, %d communities", len(g.byHandle), len(g.communities))
	}
	if s.store.journal != nil {
		s.store.mu.Lock()
		if n := len(s.store.dirty); n > g.limits.Edges+storeNotes {
			fault("%d notes wait for the disk", n)
		}
		s.store.mu.Unlock()
	}
	if n := len(s.notices.pushes.waiting); n > g.limits.Edges {
		fault("%d pushes wait", n)
	}
	return faults
}

// checkRegistrations: a registration is found by all that it is found by, and one that
// is online has a live session, so that it ends.
func (s *Server) checkRegistrations(fault func(string, ...any)) {
	g, online := s.registry, 0
	if len(g.all) != len(g.byHandle) {
		fault("%d registrations, %d handles", len(g.all), len(g.byHandle))
	}
	for i, r := range g.all {
		c := r.community
		if r.seat.number != i || g.byHandle[r.handle] != r || g.communities[c.id] != c || c.byMAC[r.mac] != r || c.byOwner[r.owner] != r {
			fault("registration of %v is entered wrongly", r.mac)
		}
		if r.lease.IsValid() && (c.byAddr[r.lease.Addr()] != r || !leasable(r.lease)) {
			fault("lease %v of %v is entered wrongly", r.lease, r.mac)
		}
		if h := r.hop; h != nil && (!s.sessions.has(h) || h.reg != r || !h.retired.IsZero()) {
			fault("registration of %v has a session that does not end", r.mac)
		}
		if r.place >= 0 {
			online++
			if r.hop == nil || r.place >= len(c.online) || c.online[r.place] != r {
				fault("registration of %v is online without a session", r.mac)
			}
		}
		if visits := r.place < 0 && !r.familiar(); visits != (r.seat.visit != nil) {
			fault("registration of %v visits: %v", r.mac, visits)
		}
	}
	if online != g.online {
		fault("%d online, %d counted", online, g.online)
	}
}

// checkCommunities: a community has members, and counts them and what they use rightly.
func (s *Server) checkCommunities(fault func(string, ...any)) {
	g, names, members := s.registry, map[*name]name{}, 0
	for id, c := range g.communities {
		members += len(c.byMAC)
		n := names[c.name]
		names[c.name] = name{n.communities + 1, n.online + len(c.online)}
		visitors, leases, seen := 0, 0, map[netip.Addr]int{}
		for _, r := range c.byMAC {
			if r.seat.visit != nil {
				visitors++
			}
			if r.lease.IsValid() {
				leases++
			}
			if at := underlayAddr(r.addr); r.place >= 0 && at.IsValid() {
				seen[at.Addr()]++
			}
		}
		if n := c.crowd.number; n >= len(g.list) || g.list[n] != c || len(g.list) != len(g.communities) {
			fault("community %x is listed wrongly", id)
		}
		if c.id != id || len(c.byMAC) == 0 || len(c.byOwner) != len(c.byMAC) || len(c.byAddr) != leases || c.addresses.leased.len() != leases {
			fault("community %x: %d MACs, %d owners, %d of %d leases", id, len(c.byMAC), len(c.byOwner), len(c.byAddr), leases)
		}
		if visitors != c.crowd.visitors || (visitors == len(c.byMAC)) != (c.crowd.deserted != nil) || fmt.Sprint(seen) != fmt.Sprint(c.seen) {
			fault("community %x: visitors %d, counted %d; seen %v, counted %v", id, visitors, c.crowd.visitors, seen, c.seen)
		}
	}
	if members != len(g.all) || len(names) != len(g.names) {
		fault("%d members of communities, %d registrations; %d of %d names", members, len(g.all), len(names), len(g.names))
	}
	for n, want := range names {
		if *n != want {
			fault("a name is counted as %+v instead of %+v", *n, want)
		}
	}
}

// checkSessions: every session is a guest's or of a registration that is there, and a
// registration has two at most.
func (s *Server) checkSessions(fault func(string, ...any)) {
	guests, of := 0, map[*registration]int{}
	for index, h := range s.sessions.byIdx {
		switch r := h.reg; {
		case h.session.LocalIndex() != index:
			fault("session %08x is entered as %08x", h.session.LocalIndex(), index)
		case r == nil:
			guests++
		case s.registry.byHandle[r.handle] != r:
			fault("session %08x is of a registration that is gone", index)
		case r.hop != h && h.retired.IsZero():
			fault("session %08x is neither in use nor retired", index)
		default:
			if of[r]++; of[r] > 2 {
				fault("%v has more than two sessions", r.mac)
			}
		}
	}
	g := s.sessions.guests
	if guests != g.count() || g.crowd.Len() > g.most || len(g.waiting) > s.registry.limits.Edges {
		fault("%d guests, %d counted, %d of %d places, %d keys wait", guests, g.count(), g.crowd.Len(), g.most, len(g.waiting))
	}
	s.checkLanes(fault)
}

// checkLanes checks that the lanes are the addresses of registered sessions and of edges that
// are to return, and the known keys those of registrations.
func (s *Server) checkLanes(fault func(string, ...any)) {
	at, keys := map[netip.AddrPort]int{}, map[[32]byte]int{}
	for _, h := range s.sessions.byIdx {
		if h.reg != nil {
			at[h.addr]++
		}
	}
	for _, a := range s.sessions.returning.list {
		at[a]++
	}
	for a, lane := range s.sessions.lanes {
		if lane.edges != at[a] {
			fault("the lane of %v counts %d edges, has %d", a, lane.edges, at[a])
		}
	}
	for _, r := range s.registry.byHandle {
		if key, ok := r.static(); ok {
			keys[key]++
		}
	}
	if len(at) != len(s.sessions.lanes) || !maps.Equal(keys, s.registry.statics) {
		fault("%d lanes of %d, %d keys of %d", len(s.sessions.lanes), len(at), len(s.registry.statics), len(keys))
	}
}

// len counts the addresses in the set, and panics if the levels disagree.
func (s *leased) len() (n int) {
	for level, words := range s.levels {
		for k, word := range words {
			for i := range 64 {
				set := word>>i&1 != 0
				if level == 0 && set {
					n++
				}
				if level > 0 && set != (s.levels[level-1][leasedWord{k.above, k.n<<6 | uint32(i)}] == 1<<64-1) {
					panic("the levels disagree")
				}
			}
		}
	}
	return n
}

// verify fails the test if the tables are not as they have to be. Large ones are looked
// at now and then only.
func (r *rig) verify() {
	r.t.Helper()
	if r.delivered++; len(r.s.sessions.byIdx) > 40 && r.delivered%256 != 0 {
		return
	}
	if faults := r.s.invariants(); len(faults) > 0 {
		r.t.Fatalf("after %d datagrams: %q", r.delivered, faults[:min(len(faults), 5)])
	}
}
