package supernode

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"hedgerow/internal/handover"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
	"hedgerow/supernode/lists"
)

// listsPause is the time between two looks whose membership has ended.
const listsPause = time.Second

// listReviews go through the registrations of a community when there is a newer list of
// members: those are ended who are in it no more, and the others are told of it.
type listReviews struct {
	table     *lists.Table
	listings  *listings
	registrar *registrar
	sessions  map[uint32]*hop // by index
	sender    *controlSender
	out       *outbox // of the timers' goroutine
	alarm     alarm
	looking   timer.Timer
	next      timer.Timer
	waiting   []*listReview
	log       *slog.Logger

	tables *sync.Mutex // of all but do
	gate   *handover.Gate
	now    func() time.Time
}

// listReview is that of one community.
type listReview struct {
	cid     [16]byte
	left    []*registration
	tells   bool   // members are told of the list: it is newer
	again   bool   // there is something newer than when it began, so that it begins again at its end
	retells bool   // and members are told then
	bringer uint32 // the session of the edge that brought the list, which is told at the end; 0: none
}

// run checks lists that have come, and writes them to the disk, until ctx ends. It holds
// the mutex of the tables for neither.
func (l *listReviews) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-l.table.Bell():
		}
		for l.do() {
		}
	}
}

// do does what is to be done next for a list, and reports whether there was something.
func (l *listReviews) do() bool {
	l.tables.Lock()
	job := l.table.Next()
	l.tables.Unlock()
	if job == nil || l.gate.Handed() {
		return false
	}
	l.table.Do(job)
	if !l.gate.Enter() {
		return false
	}
	defer l.gate.Leave()
	l.tables.Lock()
	defer l.tables.Unlock()
	now := l.now()
	if cid, changed := l.table.Done(now, job); changed {
		l.review(now, cid, job.Session(), true)
	}
	return true
}

// look gives up what takes too long, and begins a review where somebody's time is over.
func (l *listReviews) look(now time.Time) {
	if l.looking.Set(now.Add(listsPause)); l.table.Empty() {
		l.looking.Set(now.Add(sweepPause)) // with the sweep, so that nothing else wakes an idle supernode
	}
	again, over := l.table.Tick(now)
	for _, q := range again {
		if h := l.sessions[q.Session]; h != nil {
			l.sender.message(l.out, h, q.Want)
		}
	}
	for _, cid := range over {
		l.review(now, cid, 0, false)
	}
}

// begin has all registrations looked at when the supernode begins: what was begun before that
// is not known.
func (l *listReviews) begin(now time.Time) {
	for cid := range l.registrar.registry.communities {
		if l.table.List(cid) != nil {
			l.review(now, cid, 0, true)
		}
	}
	l.look(now)
}

// review has the registrations of a community gone through, and members told of the list if
// tells. bringer is the session of the edge that has brought it; 0: none. What is under way goes
// on and begins again at its end: in a large community lists may come faster than it ends.
func (l *listReviews) review(now time.Time, cid [16]byte, bringer uint32, tells bool) {
	v := l.listings.reviews[cid]
	if v != nil {
		v.again, v.retells = true, v.retells || tells
	} else {
		v = &listReview{cid: cid, tells: tells}
		l.waiting, l.listings.reviews[cid] = append(l.waiting, v), v
		l.collect(v)
	}
	if bringer != 0 {
		v.bringer = bringer
	}
	l.next.NotAfter(now)
	l.alarm.ring()
}

// collect notes the registrations that a review is to look at.
func (l *listReviews) collect(v *listReview) {
	c := l.registrar.registry.communities[v.cid]
	if c == nil {
		return
	}
	l.table.Occupied(v.cid, len(c.online) > 0)
	for _, r := range c.byMAC {
		v.left = append(v.left, r)
	}
}

// end ends the first review, or begins it again behind all others.
func (l *listReviews) end(v *listReview) {
	l.waiting = l.waiting[1:]
	if v.again {
		v.tells, v.again, v.retells = v.retells, false, false
		l.collect(v)
		l.waiting = append(l.waiting, v)
		return
	}
	delete(l.listings.reviews, v.cid)
	if h, list := l.sessions[v.bringer], l.table.List(v.cid); h != nil && h.reg == nil && list != nil {
		l.sender.message(l.out, h, &protocol.List{Head: &list.Head})
	}
}

// step looks at some registrations. It tells no more edges than notices may leave at once. The
// next step is for the next community, so that a large one keeps no other waiting.
func (l *listReviews) step(now time.Time) {
	told := 0
	for range reviewRun {
		if len(l.waiting) == 0 || told == packetsAPace {
			break
		}
		v := l.waiting[0]
		if len(v.left) == 0 {
			l.end(v)
			continue
		}
		r := v.left[len(v.left)-1]
		v.left = v.left[:len(v.left)-1]
		if l.registrar.registry.byHandle[r.handle] == r {
			told += l.lookAt(now, r, v.tells)
		}
	}
	if len(l.waiting) > 1 {
		l.waiting = append(l.waiting[1:], l.waiting[0])
	}
	switch {
	case len(l.waiting) == 0:
	case told > 0:
		l.next.Set(now.Add(pace))
	default:
		l.next.Set(now.Add(reviewPause))
	}
}

// lookAt ends a registration of somebody who is not in the list, and tells who is of it if
// tells. It returns how many packets that were.
func (l *listReviews) lookAt(now time.Time, r *registration, tells bool) (packets int) {
	live := r.index() != 0
	if !l.table.Admits(now, r.community.id, r.owner) {
		if live {
			l.sender.message(l.out, r.hop, &protocol.Nak{Code: protocol.CodeNotListed, Retry: retryTaken})
			packets = 1
		}
		l.log.Debug("an edge is in the list of members no more", r.attributes()...)
		l.registrar.forget(r)
		return packets
	}
	list := l.table.List(r.community.id)
	if !live || list == nil || !tells {
		return 0
	}
	l.sender.message(l.out, r.hop, &protocol.List{Head: &list.Head})
	return 1
}
