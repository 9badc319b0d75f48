package crypto

import (
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"hedgerow/internal/bucket"
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

// Bounds of a GroupReceiver. A salt that was displaced by newer ones is
// remembered without its window, in some fifty bytes, until its time is over.
const (
	groupSenders   = 4096             // senders that vouched, at two salts each
	groupUnvouched = 4096             // salts that no session vouched for
	groupStale     = 64               // salts outside their time, kept for staleLife
	groupRetired   = 8 * groupSenders // displaced salts: 12 min are six of each sender
	staleLife      = 10 * time.Second

	saltRate  = 200 // new unvouched salts a second, all senders together
	saltBurst = 200
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
	aead     cipher.AEAD // nil: not derived yet, or the null transform
	ready    bool        // aead is derived
	standing standing
	from     [32]byte // the sender whose session vouched
	window   Window
	used     time.Time // last vouched for, or last opened
}

// groupSender holds one sender's newest two salts, the newer first.
type groupSender struct{ salts [2]groupSalt }

// GroupReceiver opens the GROUP packets of a community, with a replay window
// for each salt. It is safe for concurrent use; each goroutine brings its own
// Scratch.
type GroupReceiver struct {
	mu        sync.Mutex
	community *Community
	cid       [16]byte
	tag       [4]byte
	entries   map[groupSalt]*groupEntry
	senders   map[[32]byte]*groupSender
	retired   map[groupSalt]time.Time // displaced, and until when to refuse it
	count     [3]int                  // entries by standing
	budget    bucket.Bucket
}

// NewGroupReceiver returns a receiver that knows no sender.
func NewGroupReceiver(c *Community) *GroupReceiver {
	g := &GroupReceiver{
		entries: make(map[groupSalt]*groupEntry),
		senders: make(map[[32]byte]*groupSender),
		retired: make(map[groupSalt]time.Time),
	}
	g.setCommunity(c)
	return g
}

// setCommunity stores what find needs of c for every packet.
func (g *GroupReceiver) setCommunity(c *Community) {
	g.community, g.cid = c, c.ID()
	binary.BigEndian.PutUint32(g.tag[:], c.Tag())
}

// Vouch records that the sender with the X25519 static key from vouched for a
// salt inside a pair session. Its newest two count; a third displaces the
// oldest, which is refused from then on. A salt that another sender vouched for
// first stays with it. Beyond 4096 senders nothing is recorded.
func (g *GroupReceiver) Vouch(now time.Time, from [32]byte, ki, xf uint8, salt [16]byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k := groupSalt{salt, ki, xf}
	if _, gone := g.retired[k]; gone || k == (groupSalt{}) {
		return
	}
	e := g.entries[k]
	if e != nil && e.standing == vouched {
		if e.from == from {
			e.used = now
		}
		return
	}
	sender := g.senders[from]
	if sender == nil {
		if len(g.senders) >= groupSenders {
			return
		}
		sender = new(groupSender)
		g.senders[from] = sender
	}
	if oldest := sender.salts[1]; oldest != (groupSalt{}) {
		g.retire(now, oldest)
	}
	sender.salts[0], sender.salts[1] = k, sender.salts[0]
	if e == nil {
		e = &groupEntry{window: makeWindow(windowBits)}
		g.entries[k] = e
		g.count[vouched]++
	} else {
		g.count[e.standing]--
		g.count[vouched]++
	}
	e.standing, e.from, e.used = vouched, from, now
}

// retire removes a displaced salt from the table. Its window goes with it, so
// the salt must not come back as an unvouched one while its time lasts. When too
// many are remembered already it stays as it is, unvouched, with its window.
func (g *GroupReceiver) retire(now time.Time, k groupSalt) {
	e := g.entries[k]
	if e == nil {
		return
	}
	if k.acceptable(now) {
		if len(g.retired) >= groupRetired {
			g.count[e.standing]--
			g.count[unvouched]++
			e.standing, e.from = unvouched, [32]byte{}
			return
		}
		g.retired[k] = k.time().Add(saltAcceptance)
	}
	g.remove(k, e)
}

// remove deletes an entry.
func (g *GroupReceiver) remove(k groupSalt, e *groupEntry) {
	g.count[e.standing]--
	delete(g.entries, k)
}

// Open opens a GROUP packet (unmasked) in place and returns its inner, a part of
// pkt. isVouched says whether a session vouched for its salt, and from is that
// session's peer; otherwise from is zero and the packet proves only that some
// member sent it. canReceive says whether an epoch may be received under now,
// and returns it; it is called once, with no lock held.
//
// The errors are ErrOpen, ErrReplay, ErrBudget and ErrStaleSalt; only with the
// last is inner valid too. A failed open destroys pkt.
func (g *GroupReceiver) Open(sc *Scratch, now time.Time, pkt []byte, canReceive func(ki uint8) (Epoch, bool)) (inner []byte, from [32]byte, isVouched bool, err error) {
	if len(pkt) < groupMin {
		return nil, from, false, ErrOpen
	}
	epoch, ok := canReceive(pkt[offKI])
	if !ok {
		return nil, from, false, ErrOpen
	}
	k, aead, err := g.find(now, pkt, epoch)
	if err != nil {
		return nil, from, false, err
	}
	if inner, err = openGroup(sc, aead, pkt); err != nil {
		return nil, from, false, err
	}
	from, isVouched, err = g.admit(now, k, aead, counterOf(pkt))
	if err != nil && err != ErrStaleSalt {
		inner = nil
	}
	return inner, from, isVouched, err
}

// find returns the AEAD for a packet that is not yet authenticated: the one in
// the table, after a look at the window, or a new one, for a token.
func (g *GroupReceiver) find(now time.Time, pkt []byte, epoch Epoch) (groupSalt, cipher.AEAD, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	k, ok := parseGroup(pkt, g.tag, g.community.Insecure)
	if !ok {
		return k, nil, ErrOpen
	}
	if e := g.entries[k]; e != nil {
		if !e.window.Check(counterOf(pkt)) {
			return k, nil, ErrReplay
		}
		if !e.ready {
			e.aead, e.ready = groupAEAD(g.cid, epoch, k), true
		}
		return k, e.aead, nil
	}
	if until, gone := g.retired[k]; gone && !now.After(until) {
		return k, nil, ErrReplay
	}
	if !g.hasRoom(now, k) || !g.budget.Take(now, 1, saltRate, saltBurst) {
		return k, nil, ErrBudget
	}
	return k, groupAEAD(g.cid, epoch, k), nil
}

// hasRoom reports whether an unknown salt may enter the table.
func (g *GroupReceiver) hasRoom(now time.Time, k groupSalt) bool {
	if k.acceptable(now) {
		return g.count[unvouched] < groupUnvouched
	}
	return g.count[stale] < groupStale
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
func (g *GroupReceiver) admit(now time.Time, k groupSalt, aead cipher.AEAD, ctr uint64) (from [32]byte, isVouched bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[k]
	if e == nil {
		if _, gone := g.retired[k]; gone {
			return from, false, ErrReplay
		}
		if !g.hasRoom(now, k) {
			return from, false, ErrBudget
		}
		e = &groupEntry{aead: aead, ready: true, window: makeWindow(windowBits), standing: unvouched}
		if !k.acceptable(now) {
			e.standing = stale
		}
		g.entries[k] = e
		g.count[e.standing]++
	}
	if !e.window.Commit(ctr) {
		return from, false, ErrReplay
	}
	e.used = now
	switch {
	case e.standing == vouched:
		return e.from, true, nil
	case e.standing == stale || !k.acceptable(now):
		return from, false, ErrStaleSalt
	}
	return from, false, nil
}

// Sweep forgets salts that are over: unused for 12 minutes and outside their
// own time, stale ones after 10 s. Call it every few seconds.
func (g *GroupReceiver) Sweep(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for k, e := range g.entries {
		idle := now.Sub(e.used)
		if e.standing == stale && idle > staleLife {
			g.remove(k, e)
		} else if idle > saltAcceptance && !k.acceptable(now) {
			g.bury(now, k)
			g.remove(k, e)
		}
	}
	for from, s := range g.senders {
		if g.entries[s.salts[0]] == nil && g.entries[s.salts[1]] == nil {
			delete(g.senders, from)
		}
	}
	for k, until := range g.retired {
		if now.After(until) {
			delete(g.retired, k)
		}
	}
}

// Vouched reports whether a sender vouched for a salt, and it still counts.
func (g *GroupReceiver) Vouched(from [32]byte, ki, xf uint8, salt [16]byte) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.entries[groupSalt{salt, ki, xf}]
	return e != nil && e.standing == vouched && e.from == from
}

// Count returns how many senders vouched, how many salts are known, and how many
// displaced ones are remembered.
func (g *GroupReceiver) Count() (senders, salts, retired int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.senders), len(g.entries), len(g.retired)
}

// Bounds returns the upper bounds of Count.
func (g *GroupReceiver) Bounds() (senders, salts, retired int) {
	return groupSenders, 2*groupSenders + groupUnvouched + groupStale, groupRetired
}

// bury remembers a salt of a sender whose clock is ahead of ours: its time is
// still to come, and it must not count as a new one then. Such an entry lasts
// long, so buried salts may fill only half of the table.
func (g *GroupReceiver) bury(now time.Time, k groupSalt) {
	if k.time().After(now) && len(g.retired) < groupRetired/2 {
		g.retired[k] = k.time().Add(saltAcceptance)
	}
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
		if !same || !ok || key != before[k.ki] {
			g.remove(k, e)
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
