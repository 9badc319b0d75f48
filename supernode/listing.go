package supernode

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/quota"
	"hedgerow/transport"
)

// listing tells of the tables to whoever wants to see them. Any goroutine may ask it that
// does not hold the mutex of the tables.
type listing struct {
	walker
	registry *registry
	policy   *admission.Policy // of which the labels are
	sockets  *sockets
	months   *months
}

// communities adds some of the communities to a document, from a place on.
func (l *listing) communities(now time.Time, doc *admin.Communities, from int) {
	doc.Communities = []admin.CommunityStatus{}
	doc.Next = walk(&l.walker, l.table, from, l.seen(now), func(c communitySeen) { doc.Communities = append(doc.Communities, c.status()) })
}

// allCommunities returns all of them, the largest first.
func (l *listing) allCommunities(now time.Time) []admin.CommunityStatus {
	list := []admin.CommunityStatus{}
	l.everyCommunity(l.seen(now), func(c communitySeen) { list = append(list, c.status()) })
	slices.SortFunc(list, admin.CommunityStatus.Compare)
	return list
}

// everyCommunity goes through all communities, as walk does, and tells none twice.
func (l *listing) everyCommunity(look func(*community) (communitySeen, bool), tell func(communitySeen)) {
	told := make(map[[16]byte]bool)
	for from, first := 0, true; first || from > 0; first = false {
		from = walk(&l.walker, l.table, from, look, func(c communitySeen) {
			if !told[c.id] {
				told[c.id] = true
				tell(c)
			}
		})
	}
}

// table returns the communities, to whoever holds the mutex.
func (l *listing) table() []*community { return l.registry.list }

// communitySeen is what is told of a community, as it was while the mutex was held.
type communitySeen struct {
	id      [16]byte
	told    admin.CommunityStatus
	limited excessSeen
	month   quota.Use
}

// seen returns what looks at communities at a time.
func (l *listing) seen(now time.Time) func(c *community) (communitySeen, bool) {
	return func(c *community) (communitySeen, bool) {
		v := communitySeen{id: c.id, told: admin.CommunityStatus{
			Label: l.policy.Label(c.id, c.nameHash), Edges: len(c.online), Leases: len(c.byMAC), Pool: c.pool, Relayed: c.budget.traffic,
		}}
		l.months.table.Look(now)
		v.month = l.months.table.Community(c.id)
		if len(c.online) > 0 {
			v.told.SinceS = now.Sub(c.crowd.since).Seconds()
		}
		v.limited = c.budget.excess.at(now)
		return v, true
	}
}

// status returns the part of a document.
func (v *communitySeen) status() admin.CommunityStatus {
	v.told.ID, v.told.Limited, v.told.Month = communityText(v.id), v.limited.status(), monthOf(v.month)
	return v.told
}

// exhausted are communities in which newcomers got no address lately.
type exhausted struct {
	shown string // some of them, as parts of a sentence
	all   int
}

// exhausted returns them.
func (l *listing) exhausted(now time.Time) (found exhausted) {
	l.everyCommunity(func(c *community) (communitySeen, bool) {
		at := c.addresses.exhausted
		return communitySeen{id: c.id, told: admin.CommunityStatus{Pool: c.pool}}, !at.IsZero() && now.Sub(at) < healthShown
	}, func(c communitySeen) {
		if found.all++; found.all <= exhaustedShown {
			found.shown += fmt.Sprintf("community %.12s has no free address in %s, ", communityText(c.id), c.told.Pool)
		}
	})
	return found
}

// edges adds some of the edges with a session to a document, from a place on: those of the
// community with an id, or of all if it is zero.
func (l *listing) edges(now time.Time, doc *admin.Edges, id [16]byte, from int) {
	table := func() []*registration { return l.registry.all }
	if id != [16]byte{} {
		table = func() []*registration {
			if c := l.registry.communities[id]; c != nil {
				return c.online
			}
			return nil
		}
	}
	doc.Edges = []admin.Edge{}
	doc.Next = walk(&l.walker, table, from, func(r *registration) (edgeSeen, bool) {
		if r.place < 0 || r.hop == nil {
			return edgeSeen{}, false
		}
		return l.see(now, r), true
	}, func(e edgeSeen) { doc.Edges = append(doc.Edges, e.status(l.sockets)) })
}

// edgeSeen is what is told of an edge, as it was while the mutex was held. None of it is
// text yet, which costs more than to look.
type edgeSeen struct {
	community [16]byte
	owner     [32]byte
	mac       protocol.MAC
	addr      netip.AddrPort
	rtt       time.Duration
	told      admin.Edge
	limited   excessSeen
	month     struct{ edge, source quota.Use }
}

// see looks at a registration whose edge is here.
func (l *listing) see(now time.Time, r *registration) edgeSeen {
	e := edgeSeen{community: r.community.id, owner: r.owner, mac: r.mac, addr: r.hop.addr, rtt: r.hop.rtt, told: admin.Edge{
		Label: l.policy.Label(r.community.id, r.community.nameHash), Lease: r.lease, SinceS: now.Sub(r.seat.since).Seconds(), SilentS: max(0, now.Sub(r.hop.heard).Seconds()),
		Direct: len(r.hop.others.direct), Bridge: r.features&protocol.FeatureBridge != 0, Relayed: r.budget.traffic,
	}}
	if underlayAddr(e.addr).IsValid() && len(r.candidates) > 0 {
		e.told.Underlay.NAT = admin.NATBefore
		if slices.ContainsFunc(r.candidates, func(a netip.AddrPort) bool { return a.Addr() == e.addr.Addr() }) {
			e.told.Underlay.NAT = admin.NATNone
		}
	}
	e.limited = r.budget.excess.at(now)
	l.months.table.Look(now)
	e.month.edge = l.months.table.Edge(r.owner)
	source := lastingSource(r.hop.addr, r.hop.source)
	e.month.source = l.months.table.Source(source, l.registry.front.sourcesIn(source))
	return e
}

// status returns the part of a document.
func (e *edgeSeen) status(from *sockets) admin.Edge {
	v := e.told
	v.Community, v.ID, v.Identity, v.MAC = communityText(e.community), crypto.ShortID(e.owner[:]), hex.EncodeToString(e.owner[:]), e.mac.String()
	v.Underlay.Transport, v.Underlay.Address = admin.TransportUDP, e.addr
	if transport.IsSide(e.addr.Addr()) {
		v.Underlay.Transport, v.Underlay.Address = admin.TransportStream, netip.AddrPort{}
		if source := from.sourceOf(e.addr); source != e.addr.Addr() {
			v.Underlay.Address = netip.AddrPortFrom(source, 0)
		}
	}
	if e.rtt > 0 {
		ms := float64(e.rtt) / float64(time.Millisecond)
		v.Underlay.RTTms = &ms
	}
	v.Limited, v.Month, v.SourceMonth = e.limited.status(), monthOf(e.month.edge), monthOf(e.month.source)
	return v
}
