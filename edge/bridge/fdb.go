package bridge

import (
	"net/netip"
	"time"

	"hedgerow/protocol"
)

// Age is how long an entry stays without a frame of its station: the ageing time of
// IEEE 802.1Q, table 8-6.
const Age = 300 * time.Second

// SweepEvery is how often Sweep is worth calling.
const SweepEvery = 10 * time.Second

// refreshEvery is how often a station that goes on sending is written down: that
// spares the write lock on every frame.
const refreshEvery = int64(time.Second)

// Key is a hardware address in a VLAN; 0 stands for untagged.
type Key struct {
	VLAN uint16
	MAC  protocol.MAC
}

// Edge is what a station is behind: a pointer to a peer. Its zero value stands for
// our own side.
type Edge interface {
	comparable
	// Retired reports whether the edge is gone for good. Whatever is behind it is as
	// if it were not there.
	Retired() bool
	// Askable reports whether the edge answers questions about its stations.
	Askable() bool
}

// entry is what is known of a station: 24 bytes in three fields, which the compiler keeps
// in registers; with more, or an array, a lookup takes half as long again.
type entry[E Edge] struct {
	edge E
	seen int64 // when a frame of it was last written down, in nanoseconds since the edge started
	note note
}

func (e entry[E]) place() (edge E, until int64) { return e.edge, e.seen + int64(Age) }

// note is the rest of an entry: how it is known, whether the next frame is written down
// at once, and from bit 8 on how often the station moved.
type note uint32

const (
	noteHow     note = 3
	noteWatched note = 4
	noteMove    note = 1 << 8
)

func (n note) how() How      { return How(n & noteHow) }
func (n note) as(h How) note { return n&^noteHow | note(h) }
func (n note) moves() int    { return int(n / noteMove) }

// moved returns the note of a station that moved once more.
func (n note) moved() note {
	if n > ^note(0)-noteMove {
		return n
	}
	return n + noteMove
}

// How says how it is known where a station is.
type How uint8

// How it is known where a station is.
const (
	Heard     How = iota // a frame of it came from there
	Announced            // the edge took over the segment that it is on
	Asked                // the edge was asked
)

// FDB is the forwarding database: which edge a station was last heard behind, and
// which stations are on our own side. The edges' own addresses are not in it: they are
// known, and beat it. The queues learn and look up, the control loop does what is due.
// It is safe for concurrent use.
type FDB[E Edge] struct {
	table[Key, E, entry[E]]
	histories map[Key]*history[E]
	claims    map[Key]*claim[E]
	askers    map[E]int64        // until when the claims from an edge are paid for
	addresses map[Key]netip.Addr // at which stations on our own side can be asked for
	polls     map[Key]int64      // when a station on our own side was asked for
	contests  []Contest[E]
	left      []Key  // stations that were on our own side
	seq       uint32 // of the latest questions
	counters  counters
}

// New returns an empty database of a size.
func New[E Edge](size Size) *FDB[E] {
	f := &FDB[E]{
		table: newTable[Key, E, entry[E]](size), histories: make(map[Key]*history[E]),
		claims: make(map[Key]*claim[E]), askers: make(map[E]int64), addresses: make(map[Key]netip.Addr), polls: make(map[Key]int64),
	}
	f.gone = func(key Key) { delete(f.addresses, key) }
	return f
}

// Place is where a station is, as Lookup returns it.
type Place uint8

// Where a station is.
const (
	Unknown Place = iota
	Behind        // behind the edge that Lookup returned
	Silent        // behind it, but it was not heard for a while: Doubt is worth a call
	Here          // on our own side, where it was heard just now
)

// Lookup returns the edge that a station was learned behind, and none if there is no
// such edge. An entry past its age does not count.
func (f *FDB[E]) Lookup(now int64, key Key) (edge E, at Place) {
	var here E
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	silent := now - e.seen
	switch {
	case !ok || silent > int64(Age):
		return here, Unknown
	case e.edge == here && silent <= quietAfter:
		return here, Here
	case e.edge == here || e.edge.Retired():
		return here, Unknown
	case silent > quietAfter:
		return e.edge, Silent
	}
	return e.edge, Behind
}

// Verdict is what is to be done about a frame that a station sent.
type Verdict struct {
	Drop bool // the station is on our own side: our LAN must not hear it from elsewhere
	Wake bool // the control loop has something to do: questions or contests
}

// Learn notes that a frame of a station came from an edge. At a bound nothing is
// learned, so that one edge cannot push out what others need. A station that is
// elsewhere does not move by that alone (question.go, move.go).
func (f *FDB[E]) Learn(now int64, key Key, from E) Verdict {
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	if ok && e.edge == from && now-e.seen < refreshEvery && e.note&noteWatched == 0 {
		return Verdict{}
	}
	return f.learnNew(now, key, from)
}

// learnNew is Learn for what is not known already.
func (f *FDB[E]) learnNew(now int64, key Key, from E) Verdict {
	f.mu.RLock() // a flood of claims does not keep others from looking up
	e, ok := f.entries[key]
	stays := ok && e.edge != from && f.stays(now, key)
	f.mu.RUnlock()
	if stays {
		f.counters.ignored.Add(1)
		return f.verdict(e)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok = f.entries[key]
	switch {
	case !ok:
		f.add(key, entry[E]{edge: from, seen: now})
	case e.edge == from:
		e.seen, e.note = now, e.note&^noteWatched
		f.entries[key] = e
	case f.old(now, e):
		f.forget(key, e)
		f.add(key, entry[E]{edge: from, seen: now, note: e.note.as(Heard) &^ noteWatched})
	default:
		return f.claimed(now, key, e, from)
	}
	return Verdict{}
}

// Local is Learn for a frame of our own side. addr is the IP address that the station
// says it has (Parsed.SenderIP); one that is not valid: the frame says nothing of that.
func (f *FDB[E]) Local(now int64, key Key, addr netip.Addr) Verdict {
	var here E
	v := f.Learn(now, key, here)
	if addr.IsValid() {
		f.noteAddress(key, addr)
	}
	return v
}

// noteAddress keeps the address of a station on our own side, or one that we claim.
func (f *FDB[E]) noteAddress(key Key, addr netip.Addr) {
	var here E
	f.mu.Lock()
	defer f.mu.Unlock()
	if c := f.claims[key]; c != nil && !c.doubt && c.by == here {
		c.addr = steadier(c.addr, addr)
	}
	if e, ok := f.entries[key]; ok && e.edge == here {
		f.addresses[key] = steadier(f.addresses[key], addr)
	}
}

// steadier returns which of two addresses of a station is asked for: of IPv6 those come
// and go that are not of the link, and an answer must not be missed since one has gone.
// Of two alike it is the newer one.
func steadier(old, addr netip.Addr) netip.Addr {
	rank := func(a netip.Addr) int {
		switch {
		case a.Is4():
			return 2
		case a.IsLinkLocalUnicast():
			return 1
		}
		return 0
	}
	if old.IsValid() && rank(old) > rank(addr) {
		return old
	}
	return addr
}

// verdict returns what is to be done about a frame of a station that stays where its
// entry says.
func (f *FDB[E]) verdict(e entry[E]) Verdict {
	var here E
	return Verdict{Drop: e.edge == here}
}

// Sweep removes entries past their age, and what else is of no use any more.
func (f *FDB[E]) Sweep(now int64) {
	f.sweep(now)
	f.sweepHistories(now)
}

// Flush removes everything behind an edge that has retired, or of our own side for the
// zero edge: nothing is heard of it any more. A queue may still learn
// under the old table: such an entry is as if it were not there.
func (f *FDB[E]) Flush(edge E) {
	f.remove(func(e E) bool { return e == edge })
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.askers, edge)
}

// Here returns stations of our own side that were heard within Age, at most so many.
func (f *FDB[E]) Here(now int64, most int) (list []Key) {
	var here E
	f.mu.RLock()
	defer f.mu.RUnlock()
	for key, e := range f.entries {
		if len(list) == most {
			break
		}
		if e.edge == here && !f.old(now, e) {
			list = append(list, key)
		}
	}
	return list
}

// FlushBut removes everything that is not behind one edge, as after a change of the
// topology that was told from there (IEEE 802.1Q, section 13.24). The zero edge stands
// for our side.
func (f *FDB[E]) FlushBut(edge E) { f.remove(func(e E) bool { return e != edge }) }

// Handover moves everything that is behind one edge behind another: of two bridges of
// one segment the other one forwards from now on. The zero edge stands for our side.
func (f *FDB[E]) Handover(from, to E) {
	f.handover(from, func(key Key, e entry[E]) entry[E] {
		delete(f.claims, key)
		e.edge, e.note = to, e.note.as(Announced)
		return e
	})
}
