package edge

import (
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"slices"
	"time"

	"hedgerow/edge/dataplane"
	"hedgerow/edge/subnet"
	"hedgerow/edge/underlay"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// Times and bounds of networks behind others.
const (
	subnetsEvery  = time.Second             // between looks at who is heard
	networksEvery = 5 * time.Second         // at this host's networks and at its routes
	soundFor      = 2200 * time.Millisecond // after a packet: two pings a second apart, and time for an answer
	askRoutes     = time.Second             // before a peer is asked again, doubling up to askRoutesMost
	askRoutesMost = 32 * time.Second

	routesRate, routesBurst = 5.0, 10 // answers to one peer a second, and ROUTES of one that are read

	maxAccepted = 1024 // networks behind others that the policy accepts
	maxShown    = 1024 // and others, which are shown
	maxRoutes   = 256  // that are set
)

// subnets is the owner of which networks are behind which peer, and by which of those that
// a network is behind packets to it go.
type subnets struct {
	cfg      Subnets
	here     subnetsHere
	peers    *peers
	sessions interface{ initiate(p *peer) }
	guard    *guard
	pairs    pairSender
	describe *describer
	refusals *refusals
	log      *slog.Logger

	of     map[*peer]*router
	kept   [2]int // networks that are kept, those that the policy accepts first
	routes routesSet
	timers timer.Queue
	next   timer.Timer
}

// subnetsHere is what the owner asks and tells of this edge and its host.
type subnetsHere struct {
	serial  func() uint64 // of our statement
	own     func() []netip.Prefix
	servers func() []netip.Addr // addresses of supernodes
	moved   func(now time.Time) // routes of this host have changed
}

// routesSet are the routes in the kernel.
type routesSet struct {
	by       map[netip.Prefix]*peer
	list     []subnet.Route // by network
	fault    error          // that setting them met
	networks []subnet.Network
	read     time.Time // when networks were, and the kernel's routes were compared
}

// router is a peer that networks are behind.
type router struct {
	session *dataplane.Session // in which it was asked; nil: in none
	heard   bool               // and has answered
	again   time.Time          // when it is asked again
	wait    time.Duration
	serial  uint64
	read    bucket.Bucket
	sound   bool
	list    []offer
}

// offer is a network behind a peer.
type offer struct {
	network netip.Prefix
	refused string // why the policy does not accept it; empty: it does
	why     string // why no packets go to it by this peer; empty: they do
	via     netip.Addr
	spare   bool // it would be used if another one failed
}

func (s *subnets) open() {
	s.of, s.routes.by = make(map[*peer]*router), make(map[netip.Prefix]*peer)
	s.next = timer.New(&s.timers, "look at networks behind others", s.due)
}

// begin takes away the routes of a process that was killed.
func (s *subnets) begin(time.Time) { s.set(nil) }

func (s *subnets) deadline() time.Time { return s.timers.Next() }
func (s *subnets) tick(now time.Time)  { s.timers.Run(now) }

// end takes our routes away.
func (s *subnets) end() {
	if len(s.routes.list) > 0 {
		s.set(nil)
	}
}

// settle notes whether networks are behind a peer, asks it for them in each session, and
// has the routes looked at when it comes or goes. By then it has said who it is.
func (s *subnets) settle(now time.Time, p *peer) {
	r := s.of[p]
	if p.gone || !p.identity.proven || !p.place.router || !s.guard.isolation.admission.may(p, roster.Router) {
		if r != nil {
			s.keep(r, nil)
			delete(s.of, p)
			p.place.routed = false
			s.next.NotAfter(now)
		}
		return
	}
	if r == nil {
		r = new(router)
		s.of[p] = r
	}
	if session := p.sessions.current; session != nil && session != r.session {
		r.session, r.heard, r.wait = session, false, 0
		s.ask(now, p, r)
	}
	if r.sound != s.sound(now, p) && len(r.list) > 0 {
		s.next.NotAfter(now)
	}
}

// ask asks a peer for its networks.
func (s *subnets) ask(now time.Time, p *peer, r *router) {
	r.wait = min(max(2*r.wait, askRoutes), askRoutesMost)
	r.again = now.Add(r.wait)
	s.pairs.send(p, (&protocol.Routes{Ask: true}).Append)
	s.next.NotAfter(r.again)
}

// handle acts on the ROUTES of a peer.
func (s *subnets) handle(now time.Time, p *peer, m protocol.Routes) {
	r := s.of[p]
	if m.Ask {
		s.answer(now, p)
		return
	}
	switch {
	case r == nil:
		s.refusals.note(refusedRoutesPlain, p)
	case m.Serial < r.serial:
		s.refusals.note(refusedRoutesOld, p)
	case !r.read.Take(now, 1, routesRate, routesBurst):
		s.refusals.note(refusedRoutesRate, p)
	default:
		r.serial, r.heard = m.Serial, true
		s.learn(now, p, r, m.List)
	}
}

// answer tells a peer which networks are behind us.
func (s *subnets) answer(now time.Time, p *peer) {
	if len(s.cfg.Announce) == 0 {
		return
	}
	if !p.reach.routes.Take(now, 1, routesRate, routesBurst) {
		s.refusals.note(refusedRoutesRate, p)
		return
	}
	m := protocol.Routes{Serial: s.here.serial() << serialBits, List: s.cfg.Announce}
	s.pairs.send(p, m.Append)
}

// learn takes the networks behind a peer.
func (s *subnets) learn(now time.Time, p *peer, r *router, list []netip.Prefix) {
	id := p.identity.statement.ID
	var offers []offer
	for _, n := range list {
		if !slices.ContainsFunc(offers, func(o offer) bool { return o.network == n }) {
			offers = append(offers, offer{network: n, refused: s.cfg.Accept.Fault(id[:], n)})
		}
	}
	if !s.keep(r, offers) {
		s.refusals.note(refusedRoutesFull, p)
	}
	s.next.NotAfter(now)
}

// keep replaces the networks of a peer as far as there is room, and reports whether there
// was. What the policy does not accept takes no room of what it does.
func (s *subnets) keep(r *router, offers []offer) (all bool) {
	for _, o := range r.list {
		s.kept[o.kind()]--
	}
	r.list, all = nil, true
	for _, o := range offers {
		if s.kept[o.kind()] >= [...]int{maxAccepted, maxShown}[o.kind()] {
			all = false
			continue
		}
		s.kept[o.kind()]++
		r.list = append(r.list, o)
	}
	return all
}

// kind returns the index of an offer's count.
func (o *offer) kind() int {
	if o.refused == "" {
		return 0
	}
	return 1
}

// accepted reports whether the policy accepts a network of a peer.
func (r *router) accepted() bool {
	return slices.ContainsFunc(r.list, func(o offer) bool { return o.refused == "" })
}

// sound reports whether a peer is reached, and was heard just now.
func (s *subnets) sound(now time.Time, p *peer) bool {
	return p.reaches(s.peers.plane) && now.Sub(s.peers.heardAt(p)) < soundFor
}

// due asks again who has not answered, and looks at who is heard: another edge takes over
// within three seconds, whatever the path.
func (s *subnets) due(now time.Time) {
	accepted, changed := false, now.Sub(s.routes.read) >= networksEvery
	for p, r := range s.of {
		if !r.heard && p.sessions.current != nil && !now.Before(r.again) {
			s.ask(now, p, r)
		}
		changed = changed || r.sound != s.sound(now, p)
		if r.accepted() {
			accepted = true
			if to := p.view.Route(); to.Session != nil && !to.Direct.IsValid() {
				p.reach.watchRelay(now)
			}
		}
	}
	if accepted {
		s.next.NotAfter(now.Add(subnetsEvery))
	}
	s.choose(now, changed)
}

// networkChanged has this host's networks read again.
func (s *subnets) networkChanged(now time.Time) {
	if s.routes.read = (time.Time{}); len(s.of) > 0 {
		s.next.NotAfter(now)
	}
}

// choose decides by which edge packets to each network go, and sets the routes. anew has
// this host's networks read, and the kernel's routes compared.
func (s *subnets) choose(now time.Time, anew bool) {
	if anew && s.cfg.Table != nil {
		s.routes.networks, s.routes.read = s.cfg.Table.Networks(), now
	}
	routes, by := s.chosen(now)
	if !anew && s.routes.fault == nil && slices.Equal(routes, s.routes.list) {
		return
	}
	s.tell(routes, by)
	before := s.routes.list
	s.routes.by = by
	if s.set(routes); !slices.Equal(before, routes) {
		s.here.moved(now)
	}
}

// tell says in the log what changes.
func (s *subnets) tell(routes []subnet.Route, by map[netip.Prefix]*peer) {
	for _, r := range routes {
		if p := by[r.Prefix]; s.routes.by[r.Prefix] != p {
			s.log.Info("route", "network", r.Prefix, "peer", p, "via", r.Via)
		}
	}
	for n := range s.routes.by {
		if by[n] == nil {
			s.log.Info("no route any more", "network", n)
		}
	}
}

// set sets the routes.
func (s *subnets) set(routes []subnet.Route) {
	s.routes.list = routes
	if s.cfg.Table == nil {
		return
	}
	err := s.cfg.Table.SetRoutes(routes)
	if err != nil && (s.routes.fault == nil || s.routes.fault.Error() != err.Error()) {
		s.log.Warn("packets do not go to networks behind others as they should [E42]", "err", err)
	}
	s.routes.fault = err
}

// usable is an offer that could be used.
type usable struct {
	peer   *peer
	offer  *offer
	router subnet.Router
}

// chosen returns the routes to set, by network, and says of each offer why it is not used.
func (s *subnets) chosen(now time.Time) (routes []subnet.Route, by map[netip.Prefix]*peer) {
	host := s.host()
	all := make(map[netip.Prefix][]usable)
	for p, r := range s.of {
		r.sound = s.sound(now, p)
		wanted := false
		for i := range r.list {
			o := &r.list[i]
			if o.why = s.fault(&host, p, o); o.why == "" {
				all[o.network] = append(all[o.network], usable{p, o, subnet.Router{ID: p.identity.statement.ID, Sound: r.sound, Cost: s.cost(now, p)}})
			}
			wanted = wanted || o.refused == ""
		}
		s.watch(now, p, wanted)
	}
	by = make(map[netip.Prefix]*peer)
	for _, n := range s.inOrder(all) {
		c := s.pick(n, all[n])
		if len(routes) == maxRoutes {
			c.offer.why = fmt.Sprintf("is one more than the %d that are set", maxRoutes)
			continue
		}
		routes, by[n] = append(routes, subnet.Route{Prefix: n, Via: c.offer.via}), c.peer
	}
	slices.SortFunc(routes, func(a, b subnet.Route) int { return comparePrefixes(a.Prefix, b.Prefix) })
	return routes, by
}

// watch says whether a peer is to be reached at any time, and looked after.
func (s *subnets) watch(now time.Time, p *peer, wanted bool) {
	if p.place.routed == wanted {
		return
	}
	p.place.routed = wanted
	if p.missing() {
		s.sessions.initiate(p)
	}
	s.peers.mark(p)
}

// inOrder returns the networks that there are edges for: those in use first, so that
// whoever comes later takes nobody's place.
func (s *subnets) inOrder(all map[netip.Prefix][]usable) []netip.Prefix {
	return slices.SortedFunc(maps.Keys(all), func(a, b netip.Prefix) int {
		if used := s.routes.by[a] != nil; used != (s.routes.by[b] != nil) {
			if used {
				return -1
			}
			return 1
		}
		return comparePrefixes(a, b)
	})
}

// comparePrefixes orders networks.
func comparePrefixes(a, b netip.Prefix) int {
	if n := a.Addr().Compare(b.Addr()); n != 0 {
		return n
	}
	return a.Bits() - b.Bits()
}

// pick chooses one of several edges that a network is behind.
func (s *subnets) pick(n netip.Prefix, list []usable) usable {
	routers, last := make([]subnet.Router, len(list)), -1
	for i, c := range list {
		if routers[i] = c.router; s.routes.by[n] == c.peer {
			last = i
		}
	}
	best := subnet.Choose(routers, last)
	for i, c := range list {
		if c.offer.spare = i != best; c.offer.spare {
			c.offer.why = "is reached by " + list[best].peer.title()
		}
	}
	return list[best]
}

// host returns what of this host no network behind another edge may share.
func (s *subnets) host() subnet.Host {
	h := subnet.Host{Overlay: s.here.own(), Networks: s.routes.networks, Underlay: s.here.servers()}
	for _, n := range s.cfg.Announce {
		if !subnet.IsDefault(n) {
			h.Announced = append(h.Announced, n)
		}
	}
	for _, p := range s.peers.byStatic {
		if a := p.view.Route().Direct; a.IsValid() && !underlay.IsSide(a) {
			h.Underlay = append(h.Underlay, a.Addr())
		}
	}
	return h
}

// fault says why no packets can go to a network by a peer, and notes by which of its
// addresses they would.
func (s *subnets) fault(h *subnet.Host, p *peer, o *offer) string {
	o.spare = false
	if o.refused != "" {
		return o.refused
	}
	if !subnet.IsDefault(o.network) {
		if why := h.Fault(o.network); why != "" {
			return why
		}
	}
	switch o.via = s.via(p, h.Overlay, o.network.Addr().Is4()); {
	case s.cfg.Table == nil:
		return "is not routed to: that is there on Linux alone"
	case !o.via.IsValid():
		return "cannot be reached: this edge has no address in the community, or the other has none"
	case !p.reaches(s.peers.plane):
		return "cannot be reached now"
	}
	return ""
}

// via returns the address of a peer by which it is the next hop of this host: one that a
// supernode leased it in a network of ours, or the one that follows from its identity, by
// which IPv4 is routed, too (RFC 8950).
func (s *subnets) via(p *peer, overlay []netip.Prefix, is4 bool) netip.Addr {
	near := func(a netip.Addr) bool {
		return slices.ContainsFunc(overlay, func(n netip.Prefix) bool { return n.Contains(a) })
	}
	for _, a := range p.identity.claims.held {
		if is4 && a.Is4() && near(a) {
			return a
		}
	}
	if p.identity.bound && near(s.guard.ula(p)) {
		return s.guard.ula(p)
	}
	return netip.Addr{}
}

// cost returns what the path to a peer costs.
func (s *subnets) cost(now time.Time, p *peer) int {
	st := s.describe.reached(now, p)
	return costOf(st.PathStatus, st.Loss)
}
