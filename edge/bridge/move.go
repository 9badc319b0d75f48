package bridge

import "time"

// Moves are damped, as RFC 7432, section 15.1, has it for Ethernet VPNs: a station that
// moves too often is two stations, or a loop.
const (
	moveWindow = int64(10 * time.Second)
	moveMost   = 5                       // moves in that time; with the last one the station stays at the older place
	holdTime   = int64(30 * time.Second) // for so long
)

// maxHistories bounds the stations whose moves are remembered. One that moves beside
// them stays where it is.
const maxHistories = 4096

// historyAge is how long a history is kept that nothing is added to.
const historyAge = 2 * holdTime

// history is what is remembered of a station that moved or was claimed lately.
type history[E Edge] struct {
	first  int64 // when the window began
	moves  int   // since then
	older  E     // where the station was at that time
	former E     // where it was before its last move
	moved  int64 // when that was
	held   int64 // until when it stays where it is
	last   int64 // when something was added
	told   bool  // the contest was told of
}

// Contest is a station that two edges say is behind them. It is told of once, as long
// as the two go on.
type Contest[E Edge] struct {
	Key
	At    E // where it stays
	Other E
}

// maxContests bounds what waits to be told.
const maxContests = 64

// stays reports whether a station stays where it is whatever is heard from elsewhere,
// because it is held or asked about; a lock is held.
func (f *FDB[E]) stays(now int64, key Key) bool {
	if h := f.histories[key]; h != nil && now < h.held {
		return true
	}
	c := f.claims[key]
	return c != nil && !c.doubt
}

// remember returns the history of a station, nil if there is no room for one.
func (f *FDB[E]) remember(now int64, key Key) *history[E] {
	h := f.histories[key]
	if h == nil {
		if len(f.histories) >= maxHistories {
			return nil
		}
		h = new(history[E])
		f.histories[key] = h
	}
	h.last = now
	return h
}

// move takes a station to another edge, or nowhere if that one is full: never does an
// entry point at a place that the station has left. Who moves too often goes back to
// where it was before, and stays. It reports whether there is a contest to tell of.
func (f *FDB[E]) move(now int64, key Key, e entry[E], to E, how How) (told bool) {
	h := f.remember(now, key)
	if h == nil {
		f.counters.unasked++
		return false
	}
	if now-h.first > moveWindow || h.moves == 0 {
		h.first, h.moves, h.older = now, 0, e.edge
	}
	if h.moves++; h.moves >= moveMost {
		f.counters.damped++
		return f.hold(now, key, e, h.older, to)
	}
	h.former, h.moved = e.edge, now
	f.place(now, key, e, to, how)
	return false
}

// place changes the edge of an entry.
func (f *FDB[E]) place(now int64, key Key, e entry[E], to E, how How) {
	f.forget(key, e)
	f.counters.moves++
	f.add(key, entry[E]{edge: to, seen: now, note: e.note.moved().as(how) &^ noteWatched})
}

// hold has a station stay at an edge for a while, although it was heard from another.
func (f *FDB[E]) hold(now int64, key Key, e entry[E], at, other E) (told bool) {
	var here E
	if at != e.edge && (at == here || !at.Retired()) {
		if other == at {
			other = e.edge
		}
		f.place(now, key, e, at, e.note.how())
	} else {
		at = e.edge
	}
	h := f.remember(now, key)
	if h == nil {
		return false
	}
	h.held, h.moves = now+holdTime, 0
	if h.told || at == other || len(f.contests) >= maxContests {
		return false
	}
	h.told = true
	f.contests = append(f.contests, Contest[E]{Key: key, At: at, Other: other})
	return true
}

// Told returns what there is to tell of since the last call: contests, and stations
// that were on our own side and have left, which our LAN has to learn.
func (f *FDB[E]) Told() (contests []Contest[E], left []Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	contests, left = f.contests, f.left
	f.contests, f.left = nil, nil
	return contests, left
}

// sweepHistories removes what is remembered of stations that have been quiet.
func (f *FDB[E]) sweepHistories(now int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, h := range f.histories {
		if now-h.last > historyAge {
			delete(f.histories, key)
		}
	}
	for key, at := range f.polls {
		if now-at > pollAge {
			delete(f.polls, key)
		}
	}
	for edge, paid := range f.askers {
		if paid <= now {
			delete(f.askers, edge)
		}
	}
}
