package edge

import (
	"log/slog"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// Times of lists of members that supernodes carry.
const (
	// serverTold is for how long after a new list supernodes are left to be told of it by the
	// member who has it from the authority; the others then have up to as much again, each
	// its own time. Who has it from there tells them at once.
	serverTold = 2 * time.Second
	// serverAgain is how long after a supernode has said that it has an older list than ours, or
	// none, it is told again at least, and twice that at most: it was upgraded while ours came to
	// it, or had no room.
	serverAgain = 30 * time.Second
	// Pieces for one supernode a second: what one of the greatest size asks for at once.
	serverPiecesRate, serverPiecesBurst = 256, 1100
)

// serverLists gives supernodes the list of members, so that they let in nobody else and give
// it to members that were away, and takes it from them. None is believed: what counts is the
// authority's signature, and no list gives way to an older one.
type serverLists struct {
	lists      *listKeeper
	supernodes supernodes
	renew      func(now time.Time, s *supernode) // registers again
	hops       hopSender
	random     *random
	refusals   *refusals
	log        *slog.Logger
	at         []serverList // by supernode
	fetch      serverFetch
	timers     timer.Queue
	asking     timer.Timer
}

// serverList is what a supernode has said of the list that it has.
type serverList struct {
	head         *protocol.ListHead // nil: it has said nothing, or that it has none
	lied         bool               // it sent wrong pieces
	heads, parts bucket.Bucket
	pieces       bucket.Bucket
	telling      timer.Timer
}

// serverFetch is a list that comes from a supernode.
type serverFetch struct {
	of    *roster.Gathering // nil: none
	from  *supernode
	tries int // questions since the last piece
}

func (l *serverLists) open() {
	l.at = make([]serverList, len(l.supernodes))
	for _, s := range l.supernodes {
		l.at[s.id()].telling = s.timer(&l.timers, "tell a supernode of the list of members", l.tell)
	}
	l.asking = timer.New(&l.timers, "ask a supernode for the list of members again", l.retry)
}

func (l *serverLists) deadline() time.Time { return l.timers.Next() }
func (l *serverLists) tick(now time.Time)  { l.timers.Run(now) }

// claim returns what a REGISTER says of the list; nil: the community has none.
func (l *serverLists) claim() *protocol.Listing {
	c := l.lists.sessions.keys.community
	if !l.lists.admission.on {
		return nil
	}
	return &protocol.Listing{NameHash: c.NameHash(), Authority: [32]byte(c.Authority), Head: l.lists.admission.head()}
}

// begin forgets which list a supernode said that it has, since it may have lost that: there is a
// new session with it.
func (l *serverLists) begin(s *supernode) { l.at[s.id()].head = nil }

// changed has supernodes told that there is a newer list. first says that it comes from
// the authority, so that nobody else can have told them.
func (l *serverLists) changed(now time.Time, first bool) {
	if l.fetch.of != nil && !roster.Newer(l.fetch.of.Head(), l.lists.admission.head()) {
		l.fetch = serverFetch{}
		l.asking.Stop()
	}
	for i := range l.at {
		if first {
			l.at[i].telling.Set(now)
		} else {
			l.at[i].telling.Set(now.Add(serverTold + l.random.jitter(serverTold)))
		}
	}
}

// tell tells a supernode of our list, unless it has said that it has that or a newer one.
func (l *serverLists) tell(now time.Time, s *supernode) {
	if s.hop.session != nil && roster.Newer(l.lists.admission.head(), l.at[s.id()].head) {
		l.renew(now, s)
	}
}

// message acts on a message of a supernode about lists.
func (l *serverLists) message(now time.Time, s *supernode, typ protocol.MsgType, value []byte) error {
	if !l.lists.admission.on {
		return nil
	}
	switch typ {
	case protocol.MsgList:
		return parsed(value, protocol.ParseList, func(m protocol.List) { l.handle(now, s, m.Head) })
	case protocol.MsgListWant:
		return parsed(value, protocol.ParseListWant, func(m protocol.ListWant) { l.answer(now, s, m) })
	case protocol.MsgListPart:
		return parsed(value, protocol.ParseListPart, func(m protocol.ListPart) { l.take(now, s, m) })
	}
	return nil
}

// handle acts on which list a supernode says that it has.
func (l *serverLists) handle(now time.Time, s *supernode, h *protocol.ListHead) {
	st, own := &l.at[s.id()], l.lists.admission
	switch {
	case h == nil || !roster.Newer(h, own.head()):
		news := h != nil && (st.head == nil || *h != *st.head)
		st.head = h
		if roster.Newer(own.head(), h) {
			st.telling.NotAfter(now.Add(serverAgain + l.random.jitter(serverAgain)))
		}
		if news && *h == *own.head() && !s.current() && s.grant.pending && st.heads.Take(now, 1, headsRate, headsBurst) {
			s.grant.retry.Set(now) // it has the list that it wanted first
		}
		return
	case h.Serial < own.floor:
		l.refusals.note(refusedListOld, s, "serial", h.Serial, "known", own.floor)
		return
	case st.lied:
		l.refusals.note(refusedListLiar, s)
		return
	case st.head != nil && *st.head == *h: // its signature was verified
	case !st.heads.Take(now, 1, headsRate, headsBurst):
		l.refusals.note(refusedListRate, s)
		return
	case roster.Verify(l.lists.sessions.keys.community, h) != nil:
		l.refusals.note(refusedListSigned, s, "serial", h.Serial)
		return
	}
	st.head = h
	if f := &l.fetch; s.current() && (f.of == nil || roster.Newer(h, f.of.Head())) {
		*f = serverFetch{of: roster.Gather(*h), from: s}
		l.ask(now, false)
	}
}

// ask asks for the next pieces; again: for the first ones that are missing.
func (l *serverLists) ask(now time.Time, again bool) {
	m := l.fetch.of.Want(again)
	l.hops.send(l.fetch.from, m.Append)
	l.asking.Set(now.Add(listWait))
}

// retry asks again for pieces that have not come, of another supernode after a while. If
// there is none the list comes from a member, or when a supernode says again that it has it.
func (l *serverLists) retry(now time.Time) {
	f := &l.fetch
	if f.of == nil {
		return
	}
	if f.tries++; f.tries >= listTries {
		l.another(now)
		return
	}
	l.ask(now, true)
}

// another has the list come from another supernode that has it, if there is one.
func (l *serverLists) another(now time.Time) {
	f := &l.fetch
	for _, s := range l.supernodes {
		if st := &l.at[s.id()]; s != f.from && s.current() && st.head != nil && !st.lied && *st.head == *f.of.Head() {
			f.from, f.tries = s, 0
			l.ask(now, true)
			return
		}
	}
	*f = serverFetch{}
	l.asking.Stop()
}

// take takes a piece. One that is not of the list which the supernode named shows that it
// lies: it is asked no more.
func (l *serverLists) take(now time.Time, s *supernode, m protocol.ListPart) {
	f, st := &l.fetch, &l.at[s.id()]
	if f.of == nil || f.from != s {
		if !st.parts.Take(now, 1, headsRate, partsBurst) {
			l.refusals.note(refusedListRate, s)
		}
		return
	}
	news, err := f.of.Add(&m)
	switch {
	case err != nil:
		l.refusals.note(refusedListPiece, s, "index", m.Index)
		l.log.Warn("a supernode sends wrong pieces of the list of members: it is asked no more", "supernode", s.cfg.Name)
		st.lied = true
		l.another(now)
		return
	case !news:
		return
	}
	f.tries = 0
	switch {
	case f.of.Whole():
		of := f.of
		*f = serverFetch{}
		l.asking.Stop()
		l.lists.complete(now, of)
	case f.of.Answered():
		l.ask(now, false)
	}
}

// answer gives a supernode the pieces that it asks for.
func (l *serverLists) answer(now time.Time, s *supernode, m protocol.ListWant) {
	list := l.lists.admission.list
	if list == nil || m.Tag != roster.Tag(&list.Head) {
		return // it hears of the newer one in the next REGISTER
	}
	for _, i := range m.Indices {
		part, ok := list.Part(int(i))
		if !ok || !l.at[s.id()].pieces.Take(now, 1, serverPiecesRate, serverPiecesBurst) {
			l.refusals.note(refusedListRate, s)
			return
		}
		l.hops.send(s, part.Append)
	}
}
