// Package users finds out whether edges know the passwords of users.
//
// A password takes tens of milliseconds and much memory to look at (Argon2id), so that who
// steals the hashes cannot try many. So one is looked at at a time, beside everything else,
// and a password is shown once for an identity: from then on the identity, which nobody
// can imitate, stands for the user, for as long as the user has that password. Which
// identities do is kept in a file, so that a thousand edges that come back after a restart
// are not a minute's work. It is no loss when the file is gone: edges show their passwords
// with each REGISTER.
package users

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"hedgerow/internal/bucket"
	"hedgerow/internal/durable"
	"hedgerow/internal/network"
	"hedgerow/internal/password"
	"hedgerow/supernode/admission"
)

// Bounds of what is kept, and of who may try how much.
const (
	maxKnown   = 65536          // identities that stand for a user
	maxWaiting = 64             // passwords that wait to be looked at
	maxWrong   = 1024           // that are remembered to have been wrong
	seenEvery  = 24 * time.Hour // so often it is noted that an identity is there
	saveEvery  = time.Minute    // at most so often the file is written
	restAfter  = 60 * time.Millisecond
	tryRate    = 1.0 / 30 // passwords a second from one source; its networks have up to four times as much, a proxy as Request.Sources says
	tryBurst   = 20       // at once
	userRate   = 1.0 / 60 // passwords a second for one name from one network
	userBurst  = 20       // at once
	tryBuckets = 65536    // for sources, and for names
)

// wrongFor is for how long a wrong password is known to be wrong. An edge that is refused asks
// once a minute: that is not to cost a look each time.
const wrongFor = time.Hour

// Config says where a Book is kept.
type Config struct {
	Path string       // of the file; empty: nothing is kept
	Log  *slog.Logger // required
}

// known is the user for whom an identity stands.
type known struct {
	user, hash string
	seen       int64 // unix seconds, to seenEvery
}

// attempt is a password that was shown.
type attempt struct {
	identity             [32]byte
	user, password, hash string
	from                 network.Key // the widest network of its source
	round                uint64      // in which its turn is
}

// key is what names an attempt without its password being kept.
type key [sha256.Size]byte

// Book knows which identities stand for which users. It may be used by any goroutine.
type Book struct {
	path  string
	log   *slog.Logger
	dummy string        // the hash that a password is held against where there is no user
	wake  chan struct{} // there is something to look at
	aside string        // where a damaged file of the start was put; empty: there was none

	mu      sync.Mutex // guards what follows; not held while a password is looked at or the file written
	known   map[[32]byte]known
	waiting []attempt // in the order of their rounds
	round   uint64    // of the one that was looked at last
	waits   map[key]bool
	wrong   map[key]time.Time // until when
	sources *bucket.Networks
	names   *bucket.Sources // by a hash of name and network
	changed bool            // since the file was written
	failure error           // of the last write; nil: it did not fail
}

var _ admission.Users = (*Book)(nil)

// newBook returns an empty one.
func newBook(cfg Config) (*Book, error) {
	dummy, err := password.Hash("", rand.Reader)
	if err != nil {
		return nil, err
	}
	return &Book{
		path: cfg.Path, log: cfg.Log, dummy: dummy, wake: make(chan struct{}, 1),
		known: make(map[[32]byte]known), waits: make(map[key]bool), wrong: make(map[key]time.Time),
		sources: bucket.NewNetworks(tryBuckets), names: bucket.NewSources(tryBuckets),
	}, nil
}

// Of returns the user for whom an identity stands, and the hash of the password that it has
// shown; empty: none.
func (b *Book) Of(now time.Time, identity [32]byte) (user, hash string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	k, ok := b.known[identity]
	if !ok {
		return "", ""
	}
	if now.Unix()-k.seen >= int64(seenEvery/time.Second) {
		k.seen, b.changed = now.Unix(), true
		b.known[identity] = k
	}
	return k.user, k.hash
}

// Prove has a password looked at, unless that has just been done.
func (b *Book) Prove(now time.Time, r *admission.Request, hash string) admission.Reason {
	a := attempt{identity: r.Identity, user: r.User, password: r.Password, hash: hash, from: network.Of(r.Source)[network.Levels-1]}
	k, sources := a.key(), float64(max(1, r.Sources))
	b.mu.Lock()
	defer b.mu.Unlock()
	if until, ok := b.wrong[k]; ok && now.Before(until) {
		return admission.BadUser
	}
	switch {
	case b.waits[k]:
		return admission.Waiting
	case !b.room(&a) || !b.names.Has(now, nameAddr(a.user, r.Source), userRate, userBurst) ||
		!b.sources.Take(now, r.Source, tryRate*sources, tryBurst*sources):
		return admission.Limited
	}
	b.names.Take(now, nameAddr(a.user, r.Source), userRate, userBurst)
	b.enter(a)
	select {
	case b.wake <- struct{}{}:
	default:
	}
	return admission.Waiting
}

// room sets the round of an attempt, and reports whether it may wait. Networks take turns: each
// has one attempt in a round. Where all places are taken the last round makes room for an
// earlier one, so that whoever shows many passwords keeps nobody of another network out. The
// caller holds b.mu.
func (b *Book) room(a *attempt) bool {
	a.round = b.round
	for i := range b.waiting {
		if w := &b.waiting[i]; w.from == a.from {
			a.round = max(a.round, w.round+1)
		}
	}
	return len(b.waiting) < maxWaiting || a.round < b.waiting[maxWaiting-1].round
}

// enter has an attempt wait that there is room for. The caller holds b.mu.
func (b *Book) enter(a attempt) {
	if n := len(b.waiting) - 1; n+1 == maxWaiting {
		delete(b.waits, b.waiting[n].key()) // its edge asks again
		b.waiting = slices.Delete(b.waiting, n, n+1)
	}
	at := slices.IndexFunc(b.waiting, func(w attempt) bool { return w.round > a.round })
	if at < 0 {
		at = len(b.waiting)
	}
	b.waiting = slices.Insert(b.waiting, at, a)
	b.waits[a.key()] = true
}

// key returns the hash of all of an attempt.
func (a *attempt) key() (k key) {
	h := sha256.New()
	h.Write(a.identity[:])
	for _, s := range [...]string{a.user, a.password, a.hash} {
		h.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
		h.Write([]byte(s))
	}
	h.Sum(k[:0])
	return k
}

// Run looks at passwords and writes the file until ctx ends.
func (b *Book) Run(ctx context.Context) {
	save := time.NewTicker(saveEvery)
	defer save.Stop()
	for {
		select {
		case <-b.wake:
			for b.look(time.Now) && b.rest(ctx) {
			}
		case <-save.C:
			_ = b.Save() // its failure is said
		case <-ctx.Done():
			_ = b.Save()
			return
		}
	}
}

// rest waits after a password for twice as long as that took about: whoever shows
// passwords gets a third of one processor. It reports whether ctx still holds.
func (b *Book) rest(ctx context.Context) bool {
	select {
	case <-time.After(restAfter):
		return true
	case <-ctx.Done():
		return false
	}
}

// look looks at the password whose turn it is, and reports whether there was one.
func (b *Book) look(clock func() time.Time) bool {
	b.mu.Lock()
	if len(b.waiting) == 0 {
		b.mu.Unlock()
		return false
	}
	a := b.waiting[0]
	b.waiting, b.round = slices.Delete(b.waiting, 0, 1), a.round
	b.mu.Unlock()

	right := a.hash != "" && password.Check(a.hash, a.password)
	if a.hash == "" {
		password.Check(b.dummy, a.password) // so that the time does not tell which users there are
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	now, k := clock(), a.key()
	delete(b.waits, k)
	if right {
		b.learn(now, a)
	} else {
		b.reject(now, k)
	}
	return true
}

// learn notes for which user an identity stands. The caller holds b.mu.
func (b *Book) learn(now time.Time, a attempt) {
	if _, ok := b.known[a.identity]; !ok && len(b.known) >= maxKnown {
		longest, at := [32]byte{}, int64(0)
		for id, k := range b.known {
			if at == 0 || k.seen < at {
				longest, at = id, k.seen
			}
		}
		delete(b.known, longest)
	}
	b.known[a.identity], b.changed = known{a.user, a.hash, now.Unix()}, true
}

// reject notes that a password is wrong. The caller holds b.mu.
func (b *Book) reject(now time.Time, k key) {
	for old, until := range b.wrong {
		if len(b.wrong) >= maxWrong || !now.Before(until) { // any: it is looked at again, no more
			delete(b.wrong, old)
		}
	}
	b.wrong[k] = now.Add(wrongFor)
}

// Note returns a sentence about what is wrong with the file; empty: nothing is. It asks the disk
// whether a file that was set aside is still there.
func (b *Book) Note() string {
	b.mu.Lock()
	failure := b.failure
	b.mu.Unlock()
	switch {
	case failure != nil:
		return fmt.Sprintf("who has shown a password cannot be written to %s: %v. After a restart it is asked for again, which takes its time", b.path, failure)
	case durable.IsAside(b.aside):
		return "the file of who has shown a password was damaged at the start and is now " + b.aside + ": passwords are looked at again. Remove that file when you have seen this"
	}
	return ""
}
