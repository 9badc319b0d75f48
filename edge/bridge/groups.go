package bridge

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"
)

// Times of memberships. An edge asks the hosts behind it whenever nobody else has for a
// query interval and the time that hosts have to answer (querier.go).
const (
	// MemberAge is how long a membership lasts without a report, and how long an edge
	// counts as one with a multicast router behind it without a word of that: two query
	// intervals and the time to answer (RFC 3376, section 8.4; RFC 3810, section 9.4).
	MemberAge = 260 * time.Second
	// SettleTime is how long an edge that we met in a session gets all groups: it asks its
	// hosts when the session begins and once more, and that is time enough for both.
	SettleTime = 30 * time.Second

	// leaveTime is how long a membership lasts after a leave message, if those who are left
	// do not answer the two questions to them (RFC 3376, section 8.8: 2 s).
	leaveTime = int64(4 * time.Second)
)

// Bounds of memberships. An edge that would go beyond gets the frames of all groups.
const (
	membersBehind = 512
	membersAll    = 16384
	snoopedVLANs  = 64

	// mostOthers is in a community of how many other edges frames to groups go to some
	// alone: of as many an edge knows all (PROTOCOL.md, section 8, QUERY), and each report
	// goes to all. In up to twice as many hosts are asked: the edges do not learn of a new
	// one in the same moment.
	mostOthers = 64
	mostAsked  = 2 * mostOthers
)

// Listener is what is known of an edge as a receiver of multicast. Its zero value gets
// all. It is safe for concurrent use.
type Listener struct {
	settles atomic.Int64           // from when on its memberships are known; 0: they are not
	all     [families]atomic.Int64 // until when it gets all groups, whatever is known
	count   int                    // of memberships; the lock of the groups is held
}

// SettleAt says that the memberships behind the edge are known from a time on, in
// nanoseconds, since it vouches that its hosts are asked for them; 0: it does not.
func (l *Listener) SettleAt(ns int64) { l.settles.Store(ns) }

// Settled reports whether a time is set from which the memberships are known.
func (l *Listener) Settled() bool { return l.settles.Load() != 0 }

// All reports whether the edge gets the frames of all groups.
func (l *Listener) All(now int64, f Family) bool {
	settles := l.settles.Load()
	return settles == 0 || now < settles || now < l.all[f].Load()
}

// GroupEdge is an edge as Groups has it: a pointer to a peer. The zero value stands for
// our own side.
type GroupEdge interface {
	comparable
	// Retired reports whether the edge is gone for good.
	Retired() bool
	// Listener returns what is known of the edge as a receiver of multicast.
	Listener() *Listener
}

// membership says until when an edge has a member of a group.
type membership struct {
	until, leaves atomic.Int64 // leaves: when a host there left; 0: none since the last report
}

// stay has it last.
func (m *membership) stay(now int64) {
	m.leaves.Store(0)
	m.until.Store(now + int64(MemberAge))
}

// Members are the edges behind which a group has members. It never changes; nil has none.
type Members[E GroupEdge] map[E]*membership

// Has reports whether a group has members behind an edge.
func (m Members[E]) Has(now int64, e E) bool {
	s := m[e]
	return s != nil && now < s.until.Load()
}

// Groups knows which edge has members of which IP multicast group, by the reports of IGMP
// and MLD that hosts send (RFC 4541). All edges hear all reports, since these are flooded.
// It is safe for concurrent use; nil knows nothing and has everything flooded.
type Groups[E GroupEdge] struct {
	mu      sync.RWMutex
	groups  map[Group]Members[E]
	count   int
	here    Listener // our own side
	heard   [families]atomic.Int64
	vlans   map[uint16]*vlan
	leaving map[Group]leaving
	wake    atomic.Bool // there is something to ask
	refused atomic.Uint64
	others  atomic.Int64 // edges in the community
}

// NewGroups returns groups without members.
func NewGroups[E GroupEdge]() *Groups[E] {
	g := &Groups[E]{groups: make(map[Group]Members[E]), vlans: make(map[uint16]*vlan), leaving: make(map[Group]leaving)}
	g.vlans[0] = &vlan{own: -querySoon}
	return g
}

// Sent looks at a frame of our own side whose destination is Snooped. If some is true it
// goes to the edges among members alone, and to those whose Listener says All.
func (g *Groups[E]) Sent(now int64, frame *Parsed) (members Members[E], f Family, some bool) {
	var here E
	m, ok := multicastOf(frame)
	f = m.group.Family()
	switch {
	case !ok:
		return nil, f, false
	case m.speaks():
		if s := m.read(); s.kind != silent {
			g.learn(now, &m, s, here)
		}
		return nil, f, false
	case m.group.everywhere():
		return nil, f, false
	}
	g.mu.RLock()
	defer g.mu.RUnlock()
	v := g.vlans[m.group.VLAN]
	if v == nil || now < v.settles.Load() {
		return nil, f, false
	}
	return g.groups[m.group], f, true
}

// Received looks at a frame of another edge whose destination is Snooped. It reports
// whether our own side gets it: the reports of old hosts are heard only where somebody
// asks for them, since a host that hears another's report sends none of its own, and then
// nobody knew of it (RFC 4541, section 2.1.1 (1)).
//
// If the edge is not known to have sent the frame nothing is learned from it.
func (g *Groups[E]) Received(now int64, frame *Parsed, from E, vouched bool) bool {
	if frame.proto == protoUDP { // as most of what goes to groups is
		return true
	}
	m, ok := multicastOf(frame)
	if !ok || !m.speaks() {
		return true
	}
	s := m.read()
	if s.kind != silent && vouched {
		g.learn(now, &m, s, from)
	}
	return s.kind != joined || now < g.heard[m.group.Family()].Load()
}

// listener returns what is known of an edge, or of our own side.
func (g *Groups[E]) listener(e E) *Listener {
	var here E
	if e == here {
		return &g.here
	}
	return e.Listener()
}

// learn notes what a packet says about members behind an edge.
func (g *Groups[E]) learn(now int64, m *multicast, s message, from E) {
	var here E
	f := m.group.Family()
	switch s.kind {
	case asks:
		if from == here {
			g.heard[f].Store(now + int64(MemberAge))
		}
		if !s.nameless {
			g.listener(from).all[f].Store(now + int64(MemberAge))
		}
		g.asked(now, m.group.VLAN, f, s)
	case routes:
		g.listener(from).all[f].Store(now + int64(MemberAge))
	case joined:
		g.join(now, s.subject, from)
	case left:
		g.leave(now, s.subject, from)
	case records:
		for {
			group, in, out, ok := s.nextRecord(m.group.VLAN, f)
			if !ok {
				return
			}
			if in {
				g.join(now, group, from)
			} else if out {
				g.leave(now, group, from)
			}
		}
	}
}

// join notes a member of a group behind an edge.
func (g *Groups[E]) join(now int64, group Group, from E) {
	if group.everywhere() {
		return
	}
	g.mu.RLock()
	m := g.groups[group][from]
	if m != nil {
		m.stay(now) // under the lock, so that it is not swept meanwhile
	}
	g.mu.RUnlock()
	if m != nil || g.add(now, group, from) {
		g.spoken(now, group.VLAN)
	}
}

// add makes a membership, unless a bound is reached.
func (g *Groups[E]) add(now int64, group Group, from E) bool {
	var here E
	g.mu.Lock()
	defer g.mu.Unlock()
	old, l := g.groups[group], g.listener(from)
	if m := old[from]; m != nil {
		m.stay(now)
		return true
	}
	if from != here && from.Retired() {
		return false
	}
	if l.count >= membersBehind || g.count >= membersAll {
		g.refused.Add(1)
		l.all[group.Family()].Store(now + int64(MemberAge))
		return false
	}
	made, m := make(Members[E], len(old)+1), new(membership)
	maps.Copy(made, old)
	m.stay(now)
	made[from] = m
	g.groups[group] = made
	l.count++
	g.count++
	return true
}

// leave notes that a member of a group behind an edge has left. Others may be there: it
// waits for an answer of theirs. If a querier is heard that asks, else the edge does.
func (g *Groups[E]) leave(now int64, group Group, from E) {
	var here E
	if group.everywhere() {
		return
	}
	g.mu.RLock()
	m, v := g.groups[group][from], g.vlans[group.VLAN]
	g.mu.RUnlock()
	if m == nil || v == nil {
		return
	}
	m.leaves.Store(max(now, 1))
	if now < v.querier[group.Family()].Load() {
		return
	}
	shorten(now, m)
	if from == here {
		g.askLeft(now, group)
	}
}

// shorten has a membership end soon unless a report comes.
func shorten(now int64, m *membership) {
	if end := now + leaveTime; m.until.Load() > end {
		m.until.Store(end)
	}
}

// askedFor acts on the question of a querier who is left in a group: it concerns the
// edges where somebody has left. The others would have to answer as well, and lose the
// group with a packet.
func (g *Groups[E]) askedFor(now int64, group Group) {
	g.mu.RLock()
	members := g.groups[group]
	g.mu.RUnlock()
	for _, m := range members {
		if at := m.leaves.Load(); at != 0 && now-at <= leaveTime {
			shorten(now, m)
		}
	}
}

// Handover has another edge have the members that an edge has, too: it forwards on the
// same segment from now on.
func (g *Groups[E]) Handover(now int64, from, to E) {
	if g == nil {
		return
	}
	g.mu.RLock()
	var list []Group
	for group, members := range g.groups {
		if members.Has(now, from) {
			list = append(list, group)
		}
	}
	g.mu.RUnlock()
	for _, group := range list {
		g.join(now, group, to)
	}
	for f := range families {
		if until := g.listener(from).all[f].Load(); until > g.listener(to).all[f].Load() {
			g.listener(to).all[f].Store(until)
		}
	}
}

// Sweep removes memberships that have ended, those behind edges that are gone, and VLANs in
// which nobody reports any more.
func (g *Groups[E]) Sweep(now int64) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for group, members := range g.groups {
		left := g.alive(now, members)
		switch {
		case len(left) == 0:
			delete(g.groups, group)
		case len(left) < len(members):
			g.groups[group] = left
		}
	}
	for id, v := range g.vlans {
		if id != 0 && now-v.spoken.Load() > int64(MemberAge) {
			delete(g.vlans, id)
		}
	}
}

// alive returns the members that have not ended; the lock is held.
func (g *Groups[E]) alive(now int64, members Members[E]) Members[E] {
	var here E
	left := make(Members[E], len(members))
	for e, m := range members {
		if now < m.until.Load() && (e == here || !e.Retired()) {
			left[e] = m
			continue
		}
		g.listener(e).count--
		g.count--
	}
	return left
}

// Membership is one of an edge, the zero value for our own side, and how long ago a host
// reported it.
type Membership[E GroupEdge] struct {
	Group
	Edge E
	Age  time.Duration
}

// List returns the memberships in no order.
func (g *Groups[E]) List(now int64) (list []Membership[E]) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for group, members := range g.groups {
		for e, m := range members {
			if until := m.until.Load(); now < until {
				list = append(list, Membership[E]{Group: group, Edge: e, Age: max(0, MemberAge-time.Duration(until-now))})
			}
		}
	}
	return list
}

// GroupCounters say what there is of memberships, and what was done.
type GroupCounters struct {
	Count, Most, Behind int    // memberships, of how many, and behind one edge
	Refused             uint64 // reports of memberships that were one too many
}

// Counters returns what there is.
func (g *Groups[E]) Counters() GroupCounters {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return GroupCounters{Count: g.count, Most: membersAll, Behind: membersBehind, Refused: g.refused.Load()}
}

// SetOthers says how many other edges the community has, as far as supernodes know.
func (g *Groups[E]) SetOthers(n int) {
	if g != nil {
		g.others.Store(int64(n))
	}
}

// Floods reports whether frames to groups go to everybody, whoever has joined, when so many
// other edges are known: they are too many, or there are some that we do not know.
func (g *Groups[E]) Floods(known int) bool {
	return known > mostOthers || g.others.Load() > int64(known)
}
