package bridge

import (
	"net/netip"
	"time"
)

// A station that is known elsewhere and speaks behind another edge has moved, or somebody
// claims its address. The edge that it is behind is asked whether it still hears it, in
// the session: at once, and again while the answer says no more than that it was silent
// since. An edge that knows the station's address asks for it on its own LAN meanwhile
// (poll.go). Until then frames of the claimant are delivered and change nothing.
const (
	askEvery   = int64(250 * time.Millisecond)
	askMost    = 3                              // questions about one claim
	answerTime = int64(350 * time.Millisecond)  // for the answer to the last
	quietAfter = int64(3 * time.Second)         // a station that frames go to is asked about when it was silent for so long
	formerTime = holdTime                       // for so long a station may come back to where it was
	doubtEvery = quietAfter                     // a station is asked about on our own account so often
	claimEvery = int64(time.Second / claimRate) // as the generic cell rate algorithm has it
)

// Bounds of what is asked.
const (
	maxClaims  = 1024 // at a time
	claimRate  = 20   // a second, of what one edge claims
	claimBurst = 200 * claimEvery
)

// claim is a station that is asked about.
type claim[E Edge] struct {
	by       E      // who claims it
	doubt    bool   // nobody does: it was silent, and frames go to it
	since    int64  // when that was first heard
	due      int64  // when something is to be done
	asked    int    // questions so far
	first    uint32 // numbers of the first question and of the last
	last     uint32
	answered bool       // the edge has said that the station was silent since
	done     bool       // a doubt that is left as it was
	addr     netip.Addr // of a station that we claim
}

// claimed acts on a frame of a station that came from another edge than its entry
// says. The lock is held.
func (f *FDB[E]) claimed(now int64, key Key, e entry[E], by E) Verdict {
	var here E
	v := f.verdict(e)
	switch {
	case f.stays(now, key): // another queue was first
		f.counters.ignored.Add(1)
	case e.edge != here && (f.full(by) || !e.edge.Askable()):
		v.Wake = f.move(now, key, e, by, Heard)
	case !f.mayClaim(now, by) || len(f.claims) >= maxClaims:
		f.counters.unasked++
	default:
		f.claims[key] = &claim[E]{by: by, since: now, due: now}
		v.Wake = true
	}
	return v
}

// mayClaim counts a claim from an edge, and reports whether it is asked about.
func (f *FDB[E]) mayClaim(now int64, by E) bool {
	next := max(f.askers[by], now) + claimEvery
	if next > now+claimBurst {
		return false
	}
	f.askers[by] = next
	return true
}

// Doubt is called for a station that Lookup calls silent, and reports whether the
// control loop has something to do: the edge that it is behind may have lost it.
func (f *FDB[E]) Doubt(now int64, key Key) (wake bool) {
	f.mu.RLock()
	_, open := f.claims[key]
	f.mu.RUnlock()
	if open {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var here E
	e, ok := f.entries[key]
	if _, open := f.claims[key]; !ok || e.edge == here || open || f.old(now, e) || !e.edge.Askable() || len(f.claims) >= maxClaims/2 {
		return false
	}
	f.claims[key] = &claim[E]{doubt: true, since: now, due: now}
	return true
}

// Question is one about a station, to the edge that it is behind; the zero edge is
// our own side.
type Question[E Edge] struct {
	Key
	To    E
	Seq   uint32
	Since time.Duration // how long ago the claim was first heard
}

// Due returns the questions that are to be asked now, and decides what was not
// answered. next is when there is something to do again, 0 for never.
func (f *FDB[E]) Due(now int64) (list []Question[E], next int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seq++
	for key, c := range f.claims {
		if c.due <= now {
			e, ok := f.entries[key]
			switch {
			case !ok || f.old(now, e) || c.moot(e):
				delete(f.claims, key)
				continue
			case c.asked == askMost:
				f.unanswered(now, key, e, c)
			default:
				list = append(list, f.question(now, key, e, c))
			}
		}
		if c := f.claims[key]; c != nil && (next == 0 || c.due < next) {
			next = c.due
		}
	}
	return list, next
}

// moot reports whether there is nothing to ask any more: the station is where it was
// claimed, or the claimant is gone, or the doubt was left as it was.
func (c *claim[E]) moot(e entry[E]) bool {
	var here E
	return c.done || !c.doubt && (e.edge == c.by || c.by != here && c.by.Retired())
}

// question returns the next question about a claim.
func (f *FDB[E]) question(now int64, key Key, e entry[E], c *claim[E]) Question[E] {
	if c.asked++; c.asked == 1 {
		c.first = f.seq
	}
	c.last = f.seq
	c.due = now + askEvery
	if c.asked == askMost {
		c.due = now + answerTime
	}
	f.counters.asked++
	return Question[E]{Key: key, To: e.edge, Seq: f.seq, Since: time.Duration(now - c.since)}
}

// unanswered decides a claim after the last question. A station that its edge has not
// heard since has moved; without any answer it has, unless a frame of it came from there.
func (f *FDB[E]) unanswered(now int64, key Key, e entry[E], c *claim[E]) {
	switch {
	case c.doubt && c.answered:
		c.done, c.due = true, now+doubtEvery
	case c.doubt: // its edge may be dead
		f.lose(key, e)
	case !c.answered && e.seen > c.since:
		f.contested(now, key, e, c)
	default:
		f.granted(now, key, e, c)
	}
}

// lose forgets a station that its edge has lost, or is lost with it: frames for it
// are flooded.
func (f *FDB[E]) lose(key Key, e entry[E]) {
	delete(f.claims, key)
	f.forget(key, e)
	f.counters.lost++
}

// granted ends a claim on a station that has moved.
func (f *FDB[E]) granted(now int64, key Key, e entry[E], c *claim[E]) {
	var here E
	delete(f.claims, key)
	f.move(now, key, e, c.by, Asked)
	at, ok := f.entries[key]
	switch {
	case ok && at.edge == here:
		if c.addr.IsValid() {
			f.addresses[key] = c.addr
		}
	case e.edge == here:
		f.left = append(f.left, key)
	}
}

// Answer is what an edge says about a station on its side.
type Answer struct {
	Key
	Seq    uint32        // of the question
	Known  bool          // the edge has heard the station, within Age
	Since  bool          // it has heard it since the claim
	Polled bool          // it has asked for the station on its LAN since, in vain
	Ago    time.Duration // when it heard it last
}

// Answered acts on an answer of an edge.
func (f *FDB[E]) Answered(now int64, from E, a Answer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.claims[a.Key]
	e, ok := f.entries[a.Key]
	// One of no question, of an edge that was not asked, or of an earlier claim.
	if c == nil || !ok || c.asked == 0 || c.done || e.edge != from || a.Seq-c.first > c.last-c.first {
		f.counters.unmatched++
		return
	}
	switch alive := a.Known && a.Since; {
	case c.doubt && (alive || a.Known && int64(a.Ago) < quietAfter):
		delete(f.claims, a.Key)
		e.seen, e.note = max(e.seen, now-int64(a.Ago)), e.note.as(Asked)
		f.entries[a.Key] = e
	case alive:
		f.contested(now, a.Key, e, c)
	case a.Known && !a.Polled && (c.doubt || c.asked < askMost || a.Seq != c.last):
		c.answered = true
	case c.doubt:
		f.lose(a.Key, e)
	default:
		f.granted(now, a.Key, e, c)
	}
}

// contested ends a claim on a station that is alive where it is: it stays, and is held.
// But a station that is back where it was just now was claimed by whoever has it, and
// the older place is right.
func (f *FDB[E]) contested(now int64, key Key, e entry[E], c *claim[E]) {
	delete(f.claims, key)
	f.counters.contested++
	at := e.edge
	if h := f.histories[key]; h != nil && h.former == c.by && h.moved != 0 && now-h.moved < formerTime {
		at = c.by
	}
	f.hold(now, key, e, at, c.by)
}
