package supernode

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/handover"
	"hedgerow/protocol"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/journal"
)

// Resume is New for the successor of another process: its state, which HandOver wrote,
// is where this one goes on. released is closed when that process has ended the use of
// the state directory and of the TURN port; until then this one uses neither. The
// identity has to be the same.
func Resume(cfg Config, state []byte, released <-chan struct{}) (*Server, error) {
	s, found, err := newServer(journal.System, cfg)
	if err != nil {
		return nil, err
	}
	r := &handover.Reader{B: state, Now: s.cfg.Now()}
	if v := r.U32(); r.Err == nil && v != stateVersion {
		return nil, fmt.Errorf("the state that was handed over is of version %d, and this program reads version %d", v, stateVersion)
	}
	if static := handover.Array[[32]byte](r); r.Err == nil && static != s.cfg.Identity.Static {
		return nil, fmt.Errorf("the state that was handed over is of a supernode with another key, %s", KeyText(static))
	}
	boot, keys := r.U8(), new(resetKeys)
	for i := range keys {
		keys[i] = handover.Array[[resetKeyLen]byte](r)
	}
	kept := s.storeConfig(journal.System)
	kept.released = released
	s.store = newStore(kept)
	s.compose(random{s.cfg.Rand}, boot, keys, found.rotation)
	s.keepFiles(keys, found.aside...)
	s.turn.released = released
	heir := &heir{Reader: r, s: s}
	heir.inherit()
	s.reviews.start(r.Now) // by our rules, which need not be those of the predecessor
	return s, r.Err
}

// heir enters a state into the tables of a Server that is new.
type heir struct {
	*handover.Reader
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
	if len(e.B) > 0 {
		e.Fail()
	}
}

func (e *heir) drops() {
	counted := e.counters()
	for r := range dropReasons {
		e.s.refused.drops[r].Store(counted[r.String()])
	}
	e.s.refused.failures.Restore(e.counters())
}

// counters reads counters by their names.
func (e *heir) counters() map[string]uint64 {
	counted := make(map[string]uint64)
	for range e.Count(4 + 8) {
		name := string(e.Bytes())
		counted[name] = e.U64()
	}
	return counted
}

func (e *heir) resets() {
	q := &e.s.notices.resets
	q.round, q.next = int(e.U8()), int(e.U32())
	n := e.Count(4 + 1 + 2)
	for range n {
		q.list = append(q.list, resetTarget{index: e.U32(), addr: e.AddrPort()})
	}
	if n > 0 && (q.round > 1 || q.next >= n) {
		e.Fail()
	}
	if e.Err != nil {
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
	for range e.Count(16 + 32 + 1 + 1 + 5*8 + 1) {
		c := &community{id: handover.Array[[16]byte](e.Reader), nameHash: handover.Array[[32]byte](e.Reader)}
		c.crowd.source, c.late, c.crowd.since = e.Addr(), e.Flag(), e.Time()
		c.budget = e.budget()
		list = append(list, c)
	}
	e.s.registry.totals = totals{accepted: e.U64(), traffic: e.traffic()}
	return list
}

// registrations reads the registrations of some communities. None is entered yet.
// announced are those of which members have to be told.
func (e *heir) registrations(of []*community) (list []*inherited, announced []*registration) {
	for range e.Count(100) {
		number := int(e.U32())
		in := e.registration()
		if e.Flag() {
			announced = append(announced, in.reg)
		}
		if e.Err != nil || number >= len(of) {
			e.Fail()
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
	if !e.Flag() {
		return b
	}
	b.excess = &excess{packets: e.U64(), last: e.Past(), what: e.U8()}
	if w := int(b.excess.what); w == 0 || w >= len(limitNames) {
		e.Fail()
	}
	return b
}

func (e *heir) traffic() admin.Traffic {
	return admin.Traffic{Packets: e.U64(), Bytes: e.U64(), Floods: e.U64(), FloodBytes: e.U64()}
}

func (e *heir) registration() *inherited {
	r := &registration{mac: handover.Array[[6]byte](e.Reader), owner: handover.Array[[32]byte](e.Reader), handle: e.U32(), statement: bytes.Clone(e.Bytes()), place: -1}
	r.seq = e.U64()
	lease := e.Prefix()
	r.seat = seat{source: e.Addr(), since: e.Time(), present: time.Duration(e.U64()), expires: e.Time(), left: e.Time()}
	for range e.Count(1 + 2) {
		r.candidates = append(r.candidates, e.AddrPort())
	}
	r.features, r.addr, r.announceOwner = e.U32(), e.AddrPort(), e.Flag()
	r.budget = e.budget()
	in := &inherited{reg: r, lease: lease, online: e.Flag(), since: r.seat.since}
	if e.Flag() {
		r.hop = e.sessionsOf()
	}
	if lease.IsValid() && !leasable(lease) || in.online && r.hop == nil {
		e.Fail()
	}
	switch {
	case e.Err != nil:
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
	if e.Flag() && h != nil {
		if h.before = e.hop(); h.before != nil && h.before.retired.IsZero() {
			e.Fail()
		}
	}
	if h != nil && !h.retired.IsZero() {
		e.Fail()
	}
	return h
}

// hop reads a session; nil after a fault.
func (e *heir) hop() *hop {
	h := &hop{hopTimes: hopTimes{created: e.Past()}}
	var err error
	if h.session, e.B, err = crypto.RestoreHopSession(e.B, h.created); err != nil {
		e.Fail()
		return nil
	}
	h.static = h.session.Static()
	h.heard, h.retired = e.Past(), e.Past()
	h.addr, h.us, h.source = e.AddrPort(), us{local: e.Addr(), key: e.key()}, e.Addr()
	h.rtt, h.visit.hash, h.visit.confirmed = time.Duration(e.U64()), handover.Array[[32]byte](e.Reader), e.Flag()
	for range e.Count(4) {
		h.others.direct = append(h.others.direct, e.U32())
	}
	if !slices.IsSorted(h.others.direct) || uint8(h.session.LocalIndex()>>24) != e.s.sessions.boot {
		e.Fail()
	}
	if e.Err != nil {
		return nil
	}
	return h
}

// key reads by which key of ours a session was made.
func (e *heir) key() *serverKey {
	keys, former := &e.s.sockets.keys, e.Flag()
	if former && keys.former == nil {
		e.Fail()
	}
	if former && keys.former != nil {
		return keys.former
	}
	return keys.own
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
		e.Fail()
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
		e.Fail()
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
	for range e.Count(100) {
		if h := e.hop(); h != nil {
			list = append(list, h)
		}
	}
	slices.SortFunc(list, func(a, b *hop) int { return a.created.Compare(b.created) })
	s := e.s.sessions
	for _, h := range list {
		if s.byIdx[h.session.LocalIndex()] != nil {
			e.Fail()
			return
		}
		s.add(h, s.registry.front.initSource(h.addr, h.source))
		if h.visit.confirmed {
			s.guests.confirm(h)
		}
	}
}
