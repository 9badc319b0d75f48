package crypto

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// Errors that only GROUP packets have.
var (
	// ErrStaleSalt is the error of a packet that opens, under a salt that no
	// session vouched for and that is too old or too far in the future. The
	// caller may keep its inner for a moment, and may deliver it only once a
	// session vouches for that very salt.
	ErrStaleSalt = errors.New("crypto: salt is not vouched for and outside its time")
	// ErrBudget is a packet of an unknown salt for which there was no token or
	// no room. It was not opened.
	ErrBudget = errors.New("crypto: no budget for another group salt")
)

// standing says why a salt is in the table.
type standing uint8

const (
	unvouched standing = iota // it opened a packet, near its own time
	vouched                   // one of the newest two that a session vouched for
	stale                     // it opened a packet, outside its time
)

// groupEntry is the state of one salt.
type groupEntry struct {
	key      groupSalt
	aead     cipher.AEAD // nil: not derived yet, or the null transform
	ready    bool        // aead is derived
	standing standing
	sender   *groupSender // whose session vouched; nil: nobody's
	serial   uint64       // what its sender said of its age
	origin   GroupOrigin  // where its first packet came from, unless vouched
	place    int          // in places.list, unless vouched
	lowest   uint64       // counters below are refused: they were not vouched for
	window   Window
	used     time.Time // last vouched for, or last opened
}

// isNew reports whether a counter was not seen yet, as far as the entry can tell.
func (e *groupEntry) isNew(ctr uint64) bool { return ctr >= e.lowest && e.window.Check(ctr) }

// GroupReceiver opens the GROUP packets of a community, with a replay window
// for each salt. It is safe for concurrent use; each goroutine brings its own
// Scratch. No call keeps it locked for more than a few microseconds, however full
// its tables are.
type GroupReceiver struct {
	mu        sync.Mutex
	community *Community
	cid       [16]byte
	tag       [4]byte
	entries   map[groupSalt]*groupEntry
	senders   groupSenders
	places    groupPlaces
	budget    groupBudget
}

// NewGroupReceiver returns a receiver that knows no sender.
func NewGroupReceiver(c *Community) *GroupReceiver {
	g := &GroupReceiver{entries: make(map[groupSalt]*groupEntry), senders: makeGroupSenders(), places: makeGroupPlaces()}
	g.setCommunity(c)
	return g
}

// setCommunity stores what find needs of c for every packet.
func (g *GroupReceiver) setCommunity(c *Community) {
	g.community, g.cid = c, c.ID()
	binary.BigEndian.PutUint32(g.tag[:], c.Tag())
}

// remove deletes an entry that nobody vouched for.
func (g *GroupReceiver) remove(e *groupEntry) {
	g.places.leave(e)
	delete(g.entries, e.key)
}

// Open opens a GROUP packet (unmasked) in place and returns its inner, a part of
// pkt. origin says where it came from. isVouched says whether a session vouched for
// its salt, and from is that session's peer; otherwise from is zero and the packet
// proves only that some member sent it. canReceive says whether an epoch may be
// received under now, and returns it; it is called once, with no lock held.
//
// The errors are ErrOpen, ErrReplay, ErrBudget and ErrStaleSalt; only with the
// last is inner valid too. A failed open destroys pkt.
func (g *GroupReceiver) Open(sc *Scratch, now time.Time, origin GroupOrigin, pkt []byte, canReceive func(ki uint8) (Epoch, bool)) (inner []byte, from [32]byte, isVouched bool, err error) {
	if len(pkt) < groupMin {
		return nil, from, false, ErrOpen
	}
	epoch, ok := canReceive(pkt[offKI])
	if !ok {
		return nil, from, false, ErrOpen
	}
	pkt = pkt[:len(pkt)-tailLen]
	f, err := g.find(now, origin, pkt)
	if err != nil {
		return nil, from, false, err
	}
	if !f.ready {
		f.aead = groupAEAD(f.cid, epoch, f.key)
	}
	if inner, err = openGroup(sc, f.aead, pkt); err != nil {
		return nil, from, false, err
	}
	from, isVouched, err = g.admit(now, origin, f.key, f.aead, counterOf(pkt))
	if err != nil && err != ErrStaleSalt {
		inner = nil
	}
	return inner, from, isVouched, err
}

// found is what a packet is opened with. ready is false where the AEAD has to be
// derived.
type found struct {
	key   groupSalt
	cid   [16]byte
	aead  cipher.AEAD
	ready bool
}

// find looks a packet up that is not yet authenticated: the AEAD in the table,
// after a look at the window. One of an unknown salt takes a token.
func (g *GroupReceiver) find(now time.Time, origin GroupOrigin, pkt []byte) (f found, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := parseGroup(pkt, g.tag, g.community.Insecure)
	f.key, f.cid = k, g.cid
	if !ok {
		return f, ErrOpen
	}
	if e := g.entries[k]; e != nil {
		if !e.isNew(counterOf(pkt)) {
			return f, ErrReplay
		}
		f.aead, f.ready = e.aead, e.ready
		return f, nil
	}
	if g.senders.displaced(&k) {
		return f, ErrReplay
	}
	if !g.places.hasRoom(origin, standingOf(&k, now)) || !g.budget.take(now, origin) {
		return f, ErrBudget
	}
	return f, nil
}

// standingOf returns the standing of a salt that nobody vouched for.
func standingOf(k *groupSalt, now time.Time) standing {
	if k.acceptable(now) {
		return unvouched
	}
	return stale
}

// openGroup opens a GROUP packet in place.
func openGroup(sc *Scratch, aead cipher.AEAD, pkt []byte) ([]byte, error) {
	const at = headerLen + saltLen
	if aead == nil {
		return pkt[at : len(pkt)-tagLen], nil
	}
	inner, err := aead.Open(pkt[at:at], sc.counterNonce(pkt), pkt[at:], pkt[:at])
	if err != nil {
		return nil, ErrOpen
	}
	return inner, nil
}

// admit commits the counter of a packet that opened, makes the entry of a new
// salt, and applies the time rule. The table may have changed since find.
func (g *GroupReceiver) admit(now time.Time, origin GroupOrigin, k groupSalt, aead cipher.AEAD, ctr uint64) (from [32]byte, isVouched bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[k]
	if e == nil {
		if g.senders.displaced(&k) {
			return from, false, ErrReplay
		}
		if !g.places.hasRoom(origin, standingOf(&k, now)) {
			return from, false, ErrBudget
		}
		e = &groupEntry{key: k, standing: standingOf(&k, now), origin: origin, window: makeWindow(windowBits)}
		g.entries[k] = e
		g.places.enter(e)
	}
	if !e.ready {
		e.aead, e.ready = aead, true
	}
	if ctr < e.lowest || !e.window.Commit(ctr) {
		return from, false, ErrReplay
	}
	e.used = now
	switch {
	case e.standing == vouched:
		e.sender.used = now
		return e.sender.static, true, nil
	case e.standing == stale || !k.acceptable(now):
		return from, false, ErrStaleSalt
	}
	return from, false, nil
}

// sweepStep is how many entries are looked at before the lock is given to others.
const sweepStep = 64

// Sweep forgets salts and senders that are over: unused for 12 minutes and outside
// their own time; stale salts after 10 s. Call it every few seconds.
func (g *GroupReceiver) Sweep(now time.Time) {
	for at, more := 0, true; more; at += sweepStep {
		more = g.sweepPlaces(now, at)
	}
	for at, more := 0, true; more; at += sweepStep {
		more = g.sweepSenders(now, at)
	}
}

// sweepPlaces sweeps the entries from at on, and reports whether there are more
// behind them. What takes the place of a removed one is looked at the next time.
func (g *GroupReceiver) sweepPlaces(now time.Time, at int) (more bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := g.places.list
	for i := min(at+sweepStep, len(list)) - 1; i >= at; i-- {
		if list[i].over(now) {
			g.remove(list[i])
		}
	}
	return at+sweepStep < len(g.places.list)
}

// over reports whether an entry that nobody vouched for has served its time.
func (e *groupEntry) over(now time.Time) bool {
	idle := now.Sub(e.used)
	if e.standing == stale {
		return idle > staleLife
	}
	return idle > saltAcceptance && !e.key.acceptable(now)
}

// Count returns how many senders vouched, and how many salts are known.
func (g *GroupReceiver) Count() (senders, salts int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.senders.list), len(g.entries)
}

// Bounds returns the upper bounds of Count.
func (g *GroupReceiver) Bounds() (senders, salts int) {
	return groupSendersMax, 2*groupSendersMax + 2*groupUnvouched + 2*groupStale
}

// Replace replaces the community after a reload. It forgets salts under an epoch
// that is no longer there, or has another key; the others keep their windows.
func (g *GroupReceiver) Replace(c *Community) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before, after := epochKeys(g.community), epochKeys(c)
	same := g.cid == c.ID() && g.community.Insecure == c.Insecure
	g.setCommunity(c)
	for k, e := range g.entries {
		key, ok := after[k.ki]
		switch {
		case same && ok && key == before[k.ki]:
		case e.standing == vouched:
			e.sender.forget(e)
			delete(g.entries, k)
		default:
			g.remove(e)
		}
	}
}

// epochKeys returns the keys of a community by index.
func epochKeys(c *Community) map[uint8][32]byte {
	keys := make(map[uint8][32]byte, len(c.Epochs))
	for _, e := range c.Epochs {
		keys[e.Index] = e.Key
	}
	return keys
}
