package edge

import (
	"bytes"
	"log/slog"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// Times and bounds of how a list of members spreads.
const (
	listLook      = time.Second / 2  // between looks at who lacks something
	listRest      = 10 * time.Second // and at who is a member still, while nobody does
	listAgain     = time.Second / 2  // before a peer that lacks something is told again, doubling
	listAgainMost = time.Minute      // at most
	listWait      = time.Second      // for pieces
	listFrom      = 15 * time.Second // from one peer, if another one has it, too
	listTries     = 4                // questions without an answer before another peer is asked
	proveWithin   = 10 * time.Second // of its session a peer has to say who it is
	bringWithin   = 30 * time.Second // and one that is in no list of ours to bring the list that it named

	headsRate, headsBurst = 0.5, 12 // signatures of one peer that are verified a second
	allPiecesRate         = 1024    // pieces a second for all together
	partsBurst            = 4       // pieces that nobody has asked for, of one peer
)

// listKeeper is the owner of the community's list of members and of the keys that follow
// revocations. Peers tell each other at the start of a session, and at every change, which
// list they have; who has an older one fetches the newer one in pieces. What is believed is
// the authority's signature, never the peer.
type listKeeper struct {
	admission *admission
	peers     *peers
	sessions  *sessions
	pairs     pairSender
	store     *listStore
	fetch     fetching
	refusals  *refusals
	log       *slog.Logger
	self      string              // our name
	base      *crypto.Community   // as its file or source has it
	changed   func(now time.Time) // by the list: who is a member, who is a hub
	rolled    func(now time.Time) // the keys have changed
	total     bucket.Limiter
	timers    timer.Queue
	next      timer.Timer
}

// fetching is a list that is being collected, of one peer at a time.
type fetching struct {
	of    *roster.Gathering // nil: none
	from  *peer             // nil: nobody has it
	tries int               // questions since the last piece
	since time.Time         // when it began to come from this peer
	due   time.Time         // for the pieces
}

func (l *listKeeper) open() {
	l.total = bucket.NewLimiter(allPiecesRate, allPiecesRate)
	l.next = timer.New(&l.timers, "look at the list of members", l.look)
}

func (l *listKeeper) deadline() time.Time { return l.timers.Next() }
func (l *listKeeper) tick(now time.Time)  { l.timers.Run(now) }

// begin looks at the list for the first time.
func (l *listKeeper) begin(now time.Time) {
	if l.admission.on {
		l.look(now)
	}
}

// look asks again for pieces that have not come, tells peers again what they lack, ends
// sessions with those who do not say who they are, and sees whose membership has ended.
func (l *listKeeper) look(now time.Time) {
	if !l.admission.on {
		return
	}
	l.admission.wall = l.peers.rightClock(now)
	l.spreaders()
	pending := l.fetch.of != nil
	for _, p := range l.peers.byStatic {
		pending = l.lookAt(now, p) || pending
	}
	if l.fetch.of != nil && !now.Before(l.fetch.due) {
		l.retry(now)
	}
	if pending {
		l.next.NotAfter(now.Add(listLook))
	} else {
		l.next.NotAfter(now.Add(listRest))
	}
}

// lookAt looks at one peer, and reports whether something is awaited of it.
func (l *listKeeper) lookAt(now time.Time, p *peer) (pending bool) {
	session := p.sessions.current
	if session == nil {
		return false
	}
	st := &p.identity.listing
	switch {
	case !p.identity.proven && now.Sub(session.Crypto().Created()) > proveWithin:
		dismiss(l.sessions, p, refusedUnlisted, protocol.CloseDone)
		return false
	case st.brings && !now.Before(st.until):
		st.brings = false
		l.peers.mark(p)
	case p.identity.proven && l.admission.refuses(p.identity.statement.ID):
		l.peers.mark(p) // its membership has ended
	case st.session == session && l.lacks(p) && !now.Before(st.again):
		st.wait = min(2*max(st.wait, listAgain/2), listAgainMost)
		st.again = now.Add(st.wait)
		l.tell(p)
	}
	return !p.identity.proven || st.brings || l.lacks(p)
}

// lacks reports whether a member lacks a list or a key that we have.
func (l *listKeeper) lacks(p *peer) bool {
	st := &p.identity.listing
	return l.admission.exchanges(p) && (roster.Newer(l.admission.head(), st.head) || st.keys < l.store.file.Keys())
}

// settle has a list that comes from a peer which was forgotten come from somebody else.
func (l *listKeeper) settle(p *peer) {
	if p.gone && l.fetch.from == p {
		l.fetch.from = nil
	}
	if !p.gone && l.admission.on && !p.identity.proven && p.sessions.current != nil {
		l.next.NotAfter(p.sessions.current.Crypto().Created().Add(proveWithin + listLook))
	}
}

// fanOut is with how many others a member keeps a session although nothing passes: the first
// that are here of those whose identities follow its own. So whoever is here hears of a new
// list at once.
const fanOut = 3

// spreaders chooses the members with whom sessions are kept so that lists spread.
func (l *listKeeper) spreaders() {
	var around []*peer
	was := make(map[*peer]bool)
	for _, p := range l.peers.byStatic {
		was[p] = p.identity.listing.kept
		p.identity.listing.kept = false
		if p.known() && l.admission.admits(p.identity.statement.ID) && !p.place.unconfirmed {
			around = append(around, p)
		}
	}
	slices.SortFunc(around, func(a, b *peer) int {
		return bytes.Compare(a.identity.statement.ID[:], b.identity.statement.ID[:])
	})
	after := max(0, slices.IndexFunc(around, func(p *peer) bool {
		return bytes.Compare(p.identity.statement.ID[:], l.admission.own[:]) > 0
	}))
	around = slices.Concat(around[after:], around[:after])
	n := 0
	for _, p := range around[:min(3*fanOut, len(around))] {
		p.identity.listing.kept = true
		if p.sessions.current != nil {
			n++
		} else if !was[p] {
			l.sessions.initiate(p)
		}
		if n == fanOut {
			return
		}
	}
}

// seeks reports whether members are looked for, so that lists spread.
func (l *listKeeper) seeks() bool { return l.admission.on }

// sought reports whether there are fewer sessions than are kept so that lists spread.
func (l *listKeeper) sought() (list []protocol.MAC, missing bool) {
	n := 0
	for _, p := range l.peers.byStatic {
		if p.sessions.current != nil && l.admission.exchanges(p) {
			n++
		}
	}
	return nil, n < fanOut
}

// append appends which list we have.
func (l *listKeeper) append(b []byte) []byte {
	m := protocol.List{Keys: l.store.file.Keys(), Head: l.admission.head()}
	return m.Append(b)
}

// tell tells a peer which list we have, and gives a member the keys that it lacks: those of
// lists that we have ourselves, so that we know who was revoked.
func (l *listKeeper) tell(p *peer) {
	l.pairs.send(p, func(b []byte) []byte {
		b = l.append(b)
		if !l.admission.exchanges(p) {
			return b
		}
		for i := range l.store.file.Rolls {
			if m := &l.store.file.Rolls[i]; m.Version > p.identity.listing.keys && m.Version <= l.admission.list.Head.Serial {
				b = m.Append(b)
			}
		}
		return b
	})
}

// spread tells everybody with a session.
func (l *listKeeper) spread() {
	for _, p := range l.peers.byStatic {
		if p.sessions.current != nil {
			l.tell(p)
		}
	}
}

// handle acts on what a peer says of its list.
func (l *listKeeper) handle(now time.Time, p *peer, m protocol.List) {
	if !l.admission.on {
		return
	}
	st := &p.identity.listing
	first := st.session != p.sessions.current
	st.session, st.keys = p.sessions.current, m.Keys
	if first {
		st.wait, st.again = 0, time.Time{}
	}
	st.brings = false
	switch {
	case m.Head == nil, !roster.Newer(m.Head, l.admission.head()):
		st.head = m.Head
	case m.Head.Serial < l.admission.floor:
		l.refusals.note(refusedListOld, p, "serial", m.Head.Serial, "known", l.admission.floor)
	case st.lied:
		l.refusals.note(refusedListLiar, p)
	case l.verify(now, p, m.Head):
		st.head = m.Head
		st.brings, st.until = true, now.Add(bringWithin)
		l.collect(now, p)
	}
	if l.lacks(p) && !now.Before(st.again) {
		st.wait = listAgain
		st.again = now.Add(st.wait)
		l.tell(p)
	}
	l.peers.mark(p)
	l.next.NotAfter(now.Add(listLook))
}

// message acts on a message of a peer about lists and keys.
func (l *listKeeper) message(now time.Time, p *peer, typ protocol.MsgType, value []byte) error {
	switch typ {
	case protocol.MsgList:
		return parsed(value, protocol.ParseList, func(m protocol.List) { l.handle(now, p, m) })
	case protocol.MsgListWant:
		return parsed(value, protocol.ParseListWant, func(m protocol.ListWant) { l.answer(now, p, m) })
	case protocol.MsgListPart:
		return parsed(value, protocol.ParseListPart, func(m protocol.ListPart) { l.handlePart(now, p, m) })
	case protocol.MsgKeyUpdate:
		return parsed(value, protocol.ParseKeyUpdate, func(m protocol.KeyUpdate) { l.handleKey(now, p, m) })
	}
	return nil
}

// verify reports whether a head is the authority's. A peer that knows one names it in every
// session: what is known already costs nothing.
func (l *listKeeper) verify(now time.Time, p *peer, h *protocol.ListHead) bool {
	if l.fetch.of != nil && *l.fetch.of.Head() == *h {
		return true
	}
	if !p.identity.listing.heads.Take(now, 1, headsRate, headsBurst) {
		l.refusals.note(refusedListRate, p)
		return false
	}
	if err := roster.Verify(l.sessions.keys.community, h); err != nil {
		l.refusals.note(refusedListSigned, p, "serial", h.Serial, "err", err)
		return false
	}
	return true
}

// collect begins to fetch the list that a peer has named, or goes on with it.
func (l *listKeeper) collect(now time.Time, p *peer) {
	f, head := &l.fetch, p.identity.listing.head
	switch {
	case f.of == nil || roster.Newer(head, f.of.Head()):
		*f = fetching{of: roster.Gather(*head), from: p, since: now}
	case *f.of.Head() == *head && f.from == nil:
		f.from, f.tries, f.since = p, 0, now
	default:
		return // it comes from somebody else
	}
	l.ask(now, false)
}

// ask asks for the next pieces; again: for the first ones that are missing.
func (l *listKeeper) ask(now time.Time, again bool) {
	f := &l.fetch
	m := f.of.Want(again)
	f.due = now.Add(listWait)
	l.pairs.send(f.from, m.Append)
	l.next.NotAfter(f.due)
}

// retry asks again, or somebody else.
func (l *listKeeper) retry(now time.Time) {
	f := &l.fetch
	if f.tries++; f.from == nil || f.tries >= listTries || f.from.sessions.current == nil {
		l.another(now)
		return
	}
	l.more(now, true)
}

// more asks for the next pieces: somebody else, if this peer takes long and there is one.
func (l *listKeeper) more(now time.Time, again bool) {
	if f := &l.fetch; now.Sub(f.since) > listFrom {
		if p := l.holder(f.from); p != nil {
			f.from, f.since = p, now
		}
	}
	l.ask(now, again)
}

// holder returns a peer that has the list which is collected, and is not one; nil: nobody
// is known to.
func (l *listKeeper) holder(not *peer) *peer {
	for _, p := range l.peers.byStatic {
		st := &p.identity.listing
		if p != not && p.sessions.current != nil && st.head != nil && !st.lied && *st.head == *l.fetch.of.Head() {
			return p
		}
	}
	return nil
}

// another has the list come from another peer that has it, if there is one.
func (l *listKeeper) another(now time.Time) {
	f := &l.fetch
	f.from, f.tries, f.since = l.holder(f.from), 0, now
	if f.from == nil {
		f.due = now.Add(listAgainMost)
		return
	}
	l.ask(now, true)
}

// answer gives a member the pieces that it asks for.
func (l *listKeeper) answer(now time.Time, p *peer, m protocol.ListWant) {
	list := l.admission.list
	switch {
	case !l.admission.on:
		return // it has a list of members, and we have none
	case !l.admission.exchanges(p):
		l.refusals.note(refusedUnlisted, p)
		return
	case list == nil, m.Tag != roster.Tag(&list.Head):
		l.tell(p) // which one there is
		return
	}
	for _, i := range m.Indices {
		part, ok := list.Part(int(i))
		if !ok || !p.identity.listing.pieces.Take(now, 1, roster.PiecesRate, roster.PiecesBurst) || !l.total.Take(now) {
			l.refusals.note(refusedListRate, p)
			return
		}
		l.pairs.send(p, part.Append)
	}
}

// handlePart takes a piece of a list. One that is not of the list which its sender named
// shows that the sender lies: it is asked no more.
func (l *listKeeper) handlePart(now time.Time, p *peer, m protocol.ListPart) {
	f, st := &l.fetch, &p.identity.listing
	if f.of == nil || st.head == nil || *st.head != *f.of.Head() {
		if !st.strays.Take(now, 1, headsRate, partsBurst) {
			l.refusals.note(refusedListRate, p)
		}
		return
	}
	news, err := f.of.Add(&m)
	if err != nil {
		l.refusals.note(refusedListPiece, p, "index", m.Index)
		l.log.Warn("a member sends wrong pieces of the list of members: it is asked no more", "peer", p)
		st.lied, st.brings = true, false
		l.peers.mark(p)
		if f.from == p {
			l.another(now)
		}
		return
	}
	if !news {
		return
	}
	f.tries = 0
	switch {
	case f.of.Whole():
		l.complete(now, f.of)
	case f.of.Answered() && f.from != nil:
		l.more(now, false)
	}
}

// complete adopts a list whose pieces have all come.
func (l *listKeeper) complete(now time.Time, of *roster.Gathering) {
	list, err := of.List()
	if l.fetch.of == of {
		l.fetch = fetching{}
	}
	if err != nil {
		l.log.Error("the authority has signed a list of members that cannot be", "err", err)
		return
	}
	l.adopt(now, list)
}

// adopt has a verified list count, if it is newer than ours, and reports whether it is.
func (l *listKeeper) adopt(now time.Time, list *roster.List) bool {
	a := l.admission
	if !roster.Newer(&list.Head, a.head()) || list.Head.Serial < a.floor {
		return false
	}
	a.list, a.floor, a.wall = list, list.Head.Serial, l.peers.rightClock(now)
	if l.fetch.of != nil && !roster.Newer(l.fetch.of.Head(), &list.Head) {
		l.fetch = fetching{}
	}
	l.log.Info("new list of members", "serial", list.Head.Serial, "entries", list.Head.Count)
	l.store.file.List = list
	l.store.keep(l.sessions.keys.community)
	for _, p := range l.peers.byStatic {
		st := &p.identity.listing
		st.brings = st.brings && roster.Newer(st.head, &list.Head)
	}
	l.changed(now)
	l.spread()
	l.next.NotAfter(now.Add(listLook))
	return true
}

// handleKey takes a key that follows a revocation.
func (l *listKeeper) handleKey(now time.Time, p *peer, m protocol.KeyUpdate) {
	switch {
	case !l.admission.on, m.Version <= l.store.file.Keys():
		return
	case !p.identity.listing.heads.Take(now, 1, headsRate, headsBurst):
		l.refusals.note(refusedListRate, p)
		return
	}
	if err := roster.VerifyRoll(l.sessions.keys.community, &m); err != nil {
		l.refusals.note(refusedListSigned, p, "version", m.Version, "err", err)
		return
	}
	p.identity.listing.keys = max(p.identity.listing.keys, m.Version)
	l.take(now, m)
}

// take begins to use a verified key, if it is newer than ours.
func (l *listKeeper) take(now time.Time, m protocol.KeyUpdate) {
	if !l.store.file.Add(m) {
		return
	}
	l.log.Info("new key of the authority", "version", m.Version, "index", m.KI)
	l.store.keep(l.sessions.keys.community)
	l.rolled(now)
	l.spread()
}

// community returns a community as its file or source has it, with the authority's keys.
func (l *listKeeper) community(base *crypto.Community) *crypto.Community {
	if base.Members != crypto.MembersList {
		return base
	}
	return base.WithRolls(l.store.file.Epochs())
}
