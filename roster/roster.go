// Package roster has a community's list of members as its authority signs it: who is a
// member, in what role, until when, and who was revoked (PROTOCOL.md, section 13).
//
// A list goes from member to member in pieces. Each piece comes with the hashes that lead
// from it to the root, which is signed, so that a piece is checked by itself, whoever it
// comes from and in whatever order. A list is immutable; the newest one wins.
package roster

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Role says what a member may be besides a member.
type Role uint8

// The roles are bits. Those that are not named here are ignored.
const (
	// Bridge lets hosts stand behind a member.
	Bridge Role = 1 << iota
	// Hub makes it one of the hubs, with which alone the other members exchange frames.
	Hub
	// Router lets networks be behind it.
	Router
	// Revoked says that it is a member no more.
	Revoked Role = 0x80
)

// roleNames are the words for the roles, in the order in which they are shown.
var roleNames = []struct {
	role Role
	name string
}{{Bridge, "bridge"}, {Hub, "hub"}, {Router, "router"}}

// Names returns the words for the roles, none for a plain member.
func (r Role) Names() (list []string) {
	for _, n := range roleNames {
		if r&n.role != 0 {
			list = append(list, n.name)
		}
	}
	return list
}

// ParseRole reads the word for a role: plain, bridge, hub or router.
func ParseRole(s string) (Role, error) {
	if s == "plain" {
		return 0, nil
	}
	for _, n := range roleNames {
		if s == n.name {
			return n.role, nil
		}
	}
	return 0, fmt.Errorf("%q is no role: write plain, bridge, hub or router", s)
}

// Entry is one identity in a list.
type Entry struct {
	ID      [32]byte
	Role    Role
	Expires time.Time // zero: never
}

// Revoked reports whether the identity is a member no more.
func (e Entry) Revoked() bool { return e.Role&Revoked != 0 }

// Expired reports whether the entry has ended at a time. A zero time stands for a clock
// that is known to be wrong: nothing has ended.
func (e Entry) Expired(wall time.Time) bool {
	return !wall.IsZero() && !e.Expires.IsZero() && !wall.Before(e.Expires)
}

// List is a list of members.
type List struct {
	Head    protocol.ListHead
	entries []Entry // in order of their identities
	tree    [][][32]byte
}

// Errors of lists.
var (
	// ErrPiece says that a piece is not part of the list.
	ErrPiece = errors.New("roster: a piece that is not of the list")
	// ErrOrder says that the entries of a list are not in order, or that two have one identity.
	ErrOrder = errors.New("roster: entries out of order")
	// ErrRoot says that the entries of a list are others than were signed.
	ErrRoot = errors.New("roster: entries that were not signed")
)

// Sign makes a list and signs it. The serial has to be higher than that of any list
// before. The entries may be in any order; an identity that is there twice or that no edge
// can have, none or more than protocol.MaxListed are errors.
func Sign(by *crypto.Authority, cid [16]byte, serial uint64, made, stale time.Time, entries []Entry) (*List, error) {
	if len(entries) == 0 || len(entries) > protocol.MaxListed {
		return nil, fmt.Errorf("a list has 1 to %d entries, not %d", protocol.MaxListed, len(entries))
	}
	l := &List{
		Head:    protocol.ListHead{Serial: serial, Made: seconds(made), Stale: seconds(stale), Count: uint16(len(entries))},
		entries: slices.SortedFunc(slices.Values(entries), func(a, b Entry) int { return bytes.Compare(a.ID[:], b.ID[:]) }),
	}
	for _, e := range l.entries {
		if !crypto.UsableID(e.ID) {
			return nil, fmt.Errorf("%s is an identity that no edge can have", crypto.ShortID(e.ID[:]))
		}
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	l.grow()
	l.Head.Root = l.root()
	l.Head.Sig = by.SignList(cid, l.Head.AppendSigned(nil))
	return l, nil
}

// Verifier knows whether an authority has signed the head of a list: a crypto.Community, or
// a crypto.Room.
type Verifier interface {
	VerifyList(head []byte, sig [64]byte) error
}

// Verify checks that a head is signed by a community's authority. It fails with
// crypto.ErrAuthority.
func Verify(c Verifier, h *protocol.ListHead) error {
	return c.VerifyList(h.AppendSigned(nil), h.Sig)
}

// Newer reports whether one list replaces another; nil is older than all. Of two with one
// serial, as two machines with the authority's key may make them, all members choose the
// same.
func Newer(h, than *protocol.ListHead) bool {
	switch {
	case h == nil:
		return false
	case than == nil:
		return true
	}
	return cmp.Or(cmp.Compare(h.Serial, than.Serial), cmp.Compare(h.Made, than.Made), bytes.Compare(h.Root[:], than.Root[:])) > 0
}

// Find returns the entry of an identity.
func (l *List) Find(id [32]byte) (Entry, bool) {
	at, found := slices.BinarySearchFunc(l.entries, id, func(e Entry, id [32]byte) int { return bytes.Compare(e.ID[:], id[:]) })
	if !found {
		return Entry{}, false
	}
	return l.entries[at], true
}

// Entries returns all entries in order of their identities. They are only to be read.
func (l *List) Entries() []Entry { return l.entries }

// Stale returns from when on there should be a newer list; zero: never.
func (l *List) Stale() time.Time { return moment(l.Head.Stale) }

// Made returns when the list was signed, by the authority's clock.
func (l *List) Made() time.Time { return moment(l.Head.Made) }

// Ends returns when the next entry ends after a time; zero: none does.
func (l *List) Ends(after time.Time) (next time.Time) {
	for _, e := range l.entries {
		if e.Expires.After(after) && (next.IsZero() || e.Expires.Before(next)) {
			next = e.Expires
		}
	}
	return next
}

// Tag returns what messages name a list by.
func Tag(h *protocol.ListHead) [8]byte { return [8]byte(h.Root[:8]) }

// check reports entries that are out of order.
func (l *List) check() error {
	for i := 1; i < len(l.entries); i++ {
		if bytes.Compare(l.entries[i-1].ID[:], l.entries[i].ID[:]) >= 0 {
			return fmt.Errorf("%w: %s", ErrOrder, crypto.ShortID(l.entries[i].ID[:]))
		}
	}
	return nil
}

// seconds returns a time as it is on the wire.
func seconds(t time.Time) uint64 {
	if t.IsZero() {
		return 0
	}
	return uint64(max(t.Unix(), 0))
}

// lastMoment is the latest time of a list, the end of the year 9999 in unix seconds.
const lastMoment = 253402300799

// moment returns the time of a value on the wire.
func moment(s uint64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(int64(min(s, lastMoment)), 0).UTC()
}
