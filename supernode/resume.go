package supernode

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/journal"
)

// Resume is New for the successor of another process: its state, which HandOver wrote,
// is where this one goes on. released is closed when that process has ended the use of
// the state directory and of the TURN port; until then this one uses neither. The
// identity has to be the same.
func Resume(cfg Config, state []byte, released <-chan struct{}) (*Server, error) {
	s, aside, err := newServer(journal.System, cfg)
	if err != nil {
		return nil, err
	}
	r := &stateReader{b: state, now: s.cfg.Now()}
	if v := r.u32(); r.err == nil && v != stateVersion {
		return nil, fmt.Errorf("the state that was handed over is of version %d, and this program reads version %d", v, stateVersion)
	}
	if static := array[[32]byte](r); r.err == nil && static != s.cfg.Identity.Static {
		return nil, fmt.Errorf("the state that was handed over is of a supernode with another key, %s", KeyText(static))
	}
	boot, keys := r.u8(), new(resetKeys)
	for i := range keys {
		keys[i] = array[[resetKeyLen]byte](r)
	}
	kept := s.storeConfig(journal.System)
	kept.released = released
	s.store = newStore(kept)
	s.keepFiles(keys, aside)
	s.compose(random{s.cfg.Rand}, boot, keys)
	s.turn.released = released
	heir := &heir{stateReader: r, s: s}
	heir.inherit()
	s.reviews.start(r.now) // by our rules, which need not be those of the predecessor
	return s, r.err
}

// heir enters a state into the tables of a Server that is new.
type heir struct {
	*stateReader
	s *Server
}

// inherit reads all that is behind the reset keys.
func (e *heir) inherit() {
	e.drops()
	e.resets()
	list, announced := e.registrations(e.communities())
	// Who has been away for longest makes room first, and gives its address up first.
	slices.SortStableFunc(list, func(a, b *inherited) int { return a.lastHere.Compare(b.lastHere) })
	for _, in := range list {
		e.enter(in)
	}
	for _, r := range announced {
		if r.place >= 0 {
			e.s.notices.pushes.add(r)
		}
	}
	e.guests()
	if len(e.b) > 0 {
		e.fail()
	}
}

func (e *heir) drops() {
	numbers := make(map[string]dropReason, dropReasons)
	for r := range dropReasons {
		numbers[r.String()] = r
	}
	for range e.count(4 + 8) {
		name, n := e.bytes(), e.u64()
		if r, known := numbers[string(name)]; known {
			e.s.refused.drops[r].Store(n)
		}
	}
}

func (e *heir) resets() {
	q := &e.s.notices.resets
	q.round, q.next = int(e.u8()), int(e.u32())
	n := e.count(4 + 1 + 2)
	for range n {
		q.list = append(q.list, resetTarget{index: e.u32(), addr: e.addrPort()})
	}
	if n > 0 && (q.round > 1 || q.next >= n) {
		e.fail()
	}
	if e.err != nil {
		*q = resets{}
	}
}

// inherited is a registration that was read, and what is entered with it.
type inherited struct {
	reg       *registration
	community *community // as it was read, not in the registry
	lease     netip.Prefix
	online    bool
	since     time.Time
	lastHere  time.Time
}

// communities reads the communities. None is in the registry yet.
func (e *heir) communities() (list []*community) {
	for range e.count(16 + 32 + 1 + 1 + 5*8 + 1) {
		c := &community{id: array[[16]byte](e.stateReader), nameHash: array[[32]byte](e.stateReader)}
		c.crowd.source, c.late, c.crowd.since = e.addr(), e.flag(), e.time()
		c.budget = e.budget()
		list = append(list, c)
	}
	e.s.registry.totals = totals{accepted: e.u64(), traffic: e.traffic()}
	return list
}

// registrations reads the registrations of some communities. None is entered yet.
// announced are those of which members have to be told.
func (e *heir) registrations(of []*community) (list []*inherited, announced []*registration) {
	for range e.count(100) {
		number := int(e.u32())
		in := e.registration()
		if e.flag() {
			announced = append(announced, in.reg)
		}
		if e.err != nil || number >= len(of) {
			e.fail()
			return nil, nil
		}
		in.community = of[number]
		list = append(list, in)
	}
	return list, announced
}

// budget reads what a budget has counted. What it allows is whole again.
func (e *heir) budget() relayBudget {
	b := relayBudget{traffic: e.traffic()}
	if !e.flag() {
		return b
	}
	b.excess = &excess{packets: e.u64(), last: e.past(), what: e.u8()}
	if w := int(b.excess.what); w == 0 || w >= len(limitNames) {
		e.fail()
	}
	return b
}

func (e *heir) traffic() admin.Traffic {
	return admin.Traffic{Packets: e.u64(), Bytes: e.u64(), Floods: e.u64(), FloodBytes: e.u64()}
}

func (e *heir) registration() *inherited {
	r := &registration{mac: array[[6]byte](e.stateReader), owner: array[[32]byte](e.stateReader), handle: e.u32(), statement: bytes.Clone(e.bytes()), place: -1}
	r.seq = e.u64()
	lease := e.prefix()
	r.seat = seat{source: e.addr(), since: e.time(), present: time.Duration(e.u64()), expires: e.time(), left: e.time()}
	for range e.count(1 + 2) {
		r.candidates = append(r.candidates, e.addrPort())
	}
	r.features, r.addr, r.announceOwner = e.u32(), e.addrPort(), e.flag()
	r.budget = e.budget()
	in := &inherited{reg: r, lease: lease, online: e.flag(), since: r.seat.since}
	if e.flag() {
		r.hop = e.sessionsOf()
	}
	if lease.IsValid() && !leasable(lease) || in.online && r.hop == nil {
		e.fail()
	}
	switch {
	case e.err != nil:
	case in.online:
		in.lastHere = r.hop.heard
	case !r.seat.left.IsZero():
		in.lastHere = r.seat.left
	default:
		in.lastHere = r.seat.expires.Add(-term(r.seat.present))
	}
	return in
}

// sessionsOf reads the session of a registration and the one that it replaced, if that is
// still there; nil after a fault.
func (e *heir) sessionsOf() *hop {
	h := e.hop()
	if e.flag() && h != nil {
		if h.before = e.hop(); h.before != nil && h.before.retired.IsZero() {
			e.fail()
		}
	}
	if h != nil && !h.retired.IsZero() {
		e.fail()
	}
	return h
}

// hop reads a session; nil after a fault.
func (e *heir) hop() *hop {
	h := &hop{hopTimes: hopTimes{created: e.past()}}
	var err error
	if h.session, e.b, err = crypto.RestoreHopSession(e.b, h.created); err != nil {
		e.fail()
		return nil
	}
	h.static = h.session.Static()
	h.heard, h.retired = e.past(), e.past()
	h.addr, h.local, h.source = e.addrPort(), e.addr(), e.addr()
	h.rtt, h.visit.hash, h.visit.confirmed = time.Duration(e.u64()), array[[32]byte](e.stateReader), e.flag()
	for range e.count(4) {
		h.others.direct = append(h.others.direct, e.u32())
	}
	if !slices.IsSorted(h.others.direct) || uint8(h.session.LocalIndex()>>24) != e.s.sessions.boot {
		e.fail()
	}
	if e.err != nil {
		return nil
	}
	return h
}

// enter enters a registration, with the sessions that it has.
func (e *heir) enter(in *inherited) {
	g, r, was := e.s.registry, in.reg, in.community
	c := g.communities[was.id]
	if c == nil {
		c = g.community(was.id, was.nameHash, was.crowd.source)
		c.late, c.budget = was.late, was.budget
	}
	if c.byMAC[r.mac] != nil || c.byOwner[r.owner] != nil || g.byHandle[r.handle] != nil || r.handle == 0 || r.handle == protocol.HandleAll {
		e.fail()
		return
	}
	r.community = c
	g.add(r)
	if h := r.hop; h != nil {
		e.adopt(h, r)
		if h.before != nil {
			e.adopt(h.before, r)
		}
	}
	if in.online {
		g.setOnline(r)
		r.seat.since, c.crowd.since = in.since, was.crowd.since
	} else {
		g.setVisitor(r)
	}
	if in.lease.IsValid() && c.byAddr[in.lease.Addr()] == nil {
		g.setLease(r, in.lease)
	}
}

// adopt enters a session of a registration.
func (e *heir) adopt(h *hop, r *registration) {
	s := e.s.sessions
	if s.byIdx[h.session.LocalIndex()] != nil {
		e.fail()
		return
	}
	h.reg = r
	s.byIdx[h.session.LocalIndex()] = h
	s.lanes.enter(h.addr)
}

// guests reads the sessions without a registration. Those that were there first may stay
// for the shortest time.
func (e *heir) guests() {
	var list []*hop
	for range e.count(100) {
		if h := e.hop(); h != nil {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *hop) int { return a.created.Compare(b.created) })
	s := e.s.sessions
	for _, h := range list {
		if s.byIdx[h.session.LocalIndex()] != nil {
			e.fail()
			return
		}
		s.add(h, s.registry.front.initSource(h.addr, h.source))
		if h.visit.confirmed {
			s.guests.confirm(h)
		}
	}
}
