package bridge

import "sync/atomic"

// counters are those of a database. The lock is held where they change, but for the
// one that is atomic.
type counters struct {
	moves, damped, contested, unasked, asked, lost, unmatched uint64

	ignored atomic.Uint64
}

// Counters say what a database has done since the start.
type Counters struct {
	Moves     uint64 // stations that came to another edge
	Refused   uint64 // frames whose station was not learned, because of a bound
	Asked     uint64 // questions to edges about their stations
	Unasked   uint64 // claims that were ignored, because too many were made
	Contested uint64 // claims on stations that were alive elsewhere
	Damped    uint64 // stations that moved too often
	Ignored   uint64 // frames that claimed a station which is held, or asked about
	Lost      uint64 // stations that their edge had lost
	Unmatched uint64 // answers to no question
}

// Counters returns what the database has done.
func (f *FDB[E]) Counters() Counters {
	f.mu.RLock()
	defer f.mu.RUnlock()
	c := &f.counters
	return Counters{
		Moves: c.moves, Refused: f.refused, Asked: c.asked, Unasked: c.unasked, Contested: c.contested, Damped: c.damped,
		Ignored: c.ignored.Load(), Lost: c.lost, Unmatched: c.unmatched,
	}
}

// Hosts returns how many stations are behind an edge; the zero edge is our own side.
func (f *FDB[E]) Hosts(edge E) int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.behind[edge]
}

// Len returns how many stations are behind other edges, and how many can be.
func (f *FDB[E]) Len() (n, most int) { return f.elsewhere() }

// Size returns the bounds of the entries.
func (f *FDB[E]) Size() Size { return f.size }

// Bounds returns how full the tables beside the entries are: stations whose moves are
// remembered, and those that are asked about.
func (f *FDB[E]) Bounds() (histories, claims, polls [2]int) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return [2]int{len(f.histories), maxHistories}, [2]int{len(f.claims), maxClaims}, [2]int{len(f.polls), maxPolls}
}

// Station is an entry of the database.
type Station[E Edge] struct {
	Key
	Edge  E // the zero value: our own side
	Seen  int64
	How   How
	Moves int
}

// Stations returns all entries that are not past their age, in no order.
func (f *FDB[E]) Stations(now int64) []Station[E] {
	f.mu.RLock()
	defer f.mu.RUnlock()
	list := make([]Station[E], 0, len(f.entries))
	for key, e := range f.entries {
		if !f.old(now, e) {
			list = append(list, Station[E]{Key: key, Edge: e.edge, Seen: e.seen, How: e.note.how(), Moves: e.note.moves()})
		}
	}
	return list
}
