// Package invites keeps the invites of a supernode: which tokens it has given out, for how
// long and how many edges each is good, and which edges have used it.
//
// A use is bound to the identity of the edge, for good: an edge that starts again, loses
// its state or registers anew uses nothing up. It is on the disk before Redeem says so, so
// that a power cut lets nobody use a token twice. Redeem never waits for the disk: it says
// admission.Waiting, the edge asks again as after a datagram that was lost, and by then Run
// has written it.
//
// Of a token its hash is kept alone: whoever reads the file cannot use what is in it.
package invites

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/durable"
	"hedgerow/internal/invite"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
)

// Bounds of what is kept.
const (
	MaxInvites = 4096                 // invites
	MaxUses    = 1000                 // of one invite
	MaxTTL     = 366 * 24 * time.Hour // from an invite to its end
	maxMembers = 65536                // uses of all invites, those to come included
	keepOver   = 30 * 24 * time.Hour  // for so long one that ended unused is known to have ended
	idLen      = 4                    // bytes of the hash that make an invite's id
	retryAfter = 5 * time.Second      // before a write that failed is tried again
)

// edge is who registers.
type edge struct {
	identity [32]byte // Ed25519
	nameHash [32]byte // of its community's name
}

// Request is what an invite is to be.
type Request struct {
	Community string        // its name
	NameHash  [32]byte      // of the name
	TTL       time.Duration // in which edges may use it for the first time, 1 s to MaxTTL
	Uses      int           // for how many edges it is good, 1 to MaxUses
}

// Errors of Create and Remove: sentences for the operator.
var (
	ErrUses    = fmt.Errorf("an invite is good for 1 to %d edges", MaxUses)
	ErrTTL     = fmt.Errorf("an invite lasts from 1 s to %d days", MaxTTL/(24*time.Hour))
	ErrFull    = errors.New("there are as many invites as can be kept: take some back with 'supernode uninvite ID' ('supernode invites' lists them)")
	ErrNoSuch  = errors.New("there is no invite of that id: 'supernode invites' lists them")
	errNoClock = errors.New("the clock is before 1970: set it first, or the invite would have no end")
)

// Config says where a ledger is kept.
type Config struct {
	Path string       // of the file; empty: nothing is kept
	Log  *slog.Logger // required
}

// entry is one invite. used grows at its end and is never changed otherwise.
type entry struct {
	id            string
	hash          [sha256.Size]byte // of the token
	community     string
	nameHash      [32]byte
	made, expires time.Time
	uses          int
	used          []use
}

// use is one edge that has used an invite.
type use struct {
	identity [32]byte
	at       time.Time
	version  uint64 // of the ledger that has it first
}

// Ledger holds the invites. It may be used by any goroutine.
type Ledger struct {
	path string
	log  *slog.Logger
	wake chan struct{}

	aside string // where a damaged file of the start was put; empty: there was none

	mu      sync.Mutex // guards what follows; never held across I/O
	entries []*entry   // by age
	byHash  map[[sha256.Size]byte]*entry
	members map[edge]*entry // by which invite an edge was admitted first
	version uint64          // of what is in memory
	saved   uint64          // of what is on the disk
	failure error           // why the last write failed; nil: it did not

	writing sync.Mutex // one write at a time
}

// Create makes an invite and writes it to the disk. The token is known to the caller
// alone from then on.
func (l *Ledger) Create(now time.Time, r Request, token invite.Token) (admin.Invite, error) {
	switch {
	case r.Uses < 1 || r.Uses > MaxUses:
		return admin.Invite{}, ErrUses
	case r.TTL < time.Second || r.TTL > MaxTTL:
		return admin.Invite{}, ErrTTL
	case now.Unix() <= 0:
		return admin.Invite{}, errNoClock
	}
	now = now.UTC().Truncate(time.Second)
	hash := sha256.Sum256(token[:])
	e := &entry{
		id: hex.EncodeToString(hash[:idLen]), hash: hash, community: r.Community, nameHash: r.NameHash,
		made: now, expires: now.Add(r.TTL), uses: r.Uses,
	}
	if err := l.enter(now, e); err != nil {
		return admin.Invite{}, err
	}
	if err := l.save(); err != nil {
		l.change(func() { l.forget(e) })
		return admin.Invite{}, fmt.Errorf("the invite cannot be written: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return e.describe(), nil
}

// enter enters a new invite if there is room.
func (l *Ledger) enter(now time.Time, e *entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, old := range slices.Clone(l.entries) {
		if len(old.used) == 0 && now.After(old.expires.Add(keepOver)) {
			l.forget(old)
		}
	}
	members := e.uses
	for _, old := range l.entries {
		members += old.room(now)
		if old.id == e.id { // one in 2^32 for each that there is; the next token has another
			return errors.New("the id of the invite is taken by another one: ask again")
		}
	}
	if len(l.entries) >= MaxInvites || members > maxMembers {
		return ErrFull
	}
	l.add(e)
	l.version++
	return nil
}

// room returns how many uses an invite may come to have.
func (e *entry) room(now time.Time) int {
	if now.Before(e.expires) {
		return e.uses
	}
	return len(e.used)
}

// add enters an invite into all tables. The caller holds l.mu.
func (l *Ledger) add(e *entry) {
	l.entries = append(l.entries, e)
	l.byHash[e.hash] = e
	for _, u := range e.used {
		if member := (edge{u.identity, e.nameHash}); l.members[member] == nil {
			l.members[member] = e
		}
	}
}

// forget removes an invite from all tables, with its uses. An edge that used another
// invite as well stays by that. The caller holds l.mu.
func (l *Ledger) forget(e *entry) {
	l.entries = slices.DeleteFunc(l.entries, func(o *entry) bool { return o == e })
	delete(l.byHash, e.hash)
	for _, u := range e.used {
		if member := (edge{u.identity, e.nameHash}); l.members[member] == e {
			delete(l.members, member)
		}
	}
}

// change changes the tables and counts a version.
func (l *Ledger) change(do func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	do()
	l.version++
}

// Remove takes an invite back, and writes that to the disk: its token is worth nothing
// any more, and who has used it is admitted by it no longer.
func (l *Ledger) Remove(id string) (admin.Invite, error) {
	l.mu.Lock()
	at := slices.IndexFunc(l.entries, func(e *entry) bool { return e.id == id })
	if at < 0 {
		l.mu.Unlock()
		return admin.Invite{}, ErrNoSuch
	}
	e := l.entries[at]
	l.forget(e)
	l.version++
	gone := e.describe()
	l.mu.Unlock()
	if err := l.save(); err != nil {
		return gone, fmt.Errorf("the invite is taken back, but a start would bring it back, since that cannot be written: %w", err)
	}
	return gone, nil
}

// Redeem says what the token of a request is worth to its edge, and notes its use. It is a
// method of admission.Tokens.
func (l *Ledger) Redeem(now time.Time, r *admission.Request) admission.Reason {
	l.mu.Lock()
	defer l.mu.Unlock()
	by := edge{r.Identity, r.NameHash}
	if e := l.members[by]; e != nil {
		return l.standing(e.use(by.identity))
	}
	if len(r.Token) == 0 {
		return admission.NotServed
	}
	e := l.byHash[sha256.Sum256(r.Token)]
	switch {
	case e == nil || e.nameHash != by.nameHash, !now.Before(e.expires), len(e.used) >= e.uses:
		return admission.BadToken
	case l.failure != nil:
		return admission.Unsaved
	}
	l.version++
	u := use{identity: by.identity, at: now.UTC().Truncate(time.Second), version: l.version}
	e.used = append(e.used, u)
	l.members[by] = e
	if l.path == "" {
		l.saved = l.version
	}
	l.wakeUp()
	return l.standing(u)
}

// standing says whether a use is on the disk. The caller holds l.mu.
func (l *Ledger) standing(u use) admission.Reason {
	switch {
	case u.version <= l.saved:
		return admission.Admitted
	case l.failure != nil:
		return admission.Unsaved
	}
	return admission.Waiting
}

// use returns the use by an identity, which has to be there.
func (e *entry) use(identity [32]byte) use {
	return e.used[slices.IndexFunc(e.used, func(u use) bool { return u.identity == identity })]
}

// describe describes an invite.
func (e *entry) describe() admin.Invite {
	v := admin.Invite{ID: e.id, Community: e.community, Made: e.made, Expires: e.expires, Uses: e.uses, Used: make([]admin.InviteUse, 0, len(e.used))}
	for _, u := range e.used {
		v.Used = append(v.Used, admin.InviteUse{Identity: hex.EncodeToString(u.identity[:]), At: u.at})
	}
	return v
}

// List describes all invites, the oldest first. It is not nil.
func (l *Ledger) List() []admin.Invite {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := make([]admin.Invite, 0, len(l.entries))
	for _, e := range l.entries {
		list = append(list, e.describe())
	}
	return list
}

// Note is a sentence about what is wrong with the ledger; empty: nothing is. It asks the disk
// whether a file that was set aside is still there.
func (l *Ledger) Note() string {
	l.mu.Lock()
	failure := l.failure
	l.mu.Unlock()
	switch {
	case failure != nil:
		return fmt.Sprintf("invites cannot be written to %s (%v): nobody is let in by a new one until they can. Look at 'df' and at who owns the directory.", l.path, failure)
	case durable.IsAside(l.aside):
		return fmt.Sprintf("the stored invites were damaged at the start and are now %s: who came by one is let in no more, unless you allow it otherwise. Look at the disk, invite them anew, and remove the file.", l.aside)
	}
	return ""
}

// Run writes uses to the disk until ctx ends, and what is left then.
func (l *Ledger) Run(ctx context.Context) {
	for {
		select {
		case <-l.wake:
		case <-ctx.Done():
			_ = l.save() // its failure is said
			return
		}
		for l.save() != nil {
			select {
			case <-time.After(retryAfter):
			case <-ctx.Done():
				return
			}
		}
	}
}

// wakeUp has Run write. It never waits.
func (l *Ledger) wakeUp() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}
