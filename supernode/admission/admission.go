// Package admission decides who may register at a supernode: everybody unless a rule
// says otherwise (open), or only who is named (closed). It is a pure machine: rules and
// times come as arguments, and nothing here opens a file or a socket. A Policy is asked
// once for each REGISTER whose proofs hold, and never for a frame.
//
// Rules name communities, edges and networks (rule.go). A community is known to a
// supernode by its id and by the hash of its name; a rule that names it in plain is
// hashed here, so that the operator sees the name.
package admission

import (
	"errors"
	"net/netip"
	"time"
)

// Request is what an edge that wants to register has proved to be.
type Request struct {
	// CID is the community's id, NameHash the hash of its name.
	CID      [16]byte
	NameHash [32]byte
	// Identity is the edge's Ed25519 identity.
	Identity [32]byte
	// Source is the address that the edge comes from, of the underlay.
	Source netip.Addr
	// Sources is as how many sources that counts: more than one come from there, by a proxy
	// that hides them. 0 is one.
	Sources int
	// Token is what the edge shows to be admitted, empty: nothing. It was made by
	// whoever implements Tokens.
	Token []byte
	// User and Password are what the edge shows to be admitted as a user, empty: nothing.
	User, Password string
}

// Reason says what a Verdict is.
type Reason uint8

const (
	// Admitted: the edge may register.
	Admitted Reason = iota
	// NotServed: the community is not served here.
	NotServed
	// Removed: the operator has removed the edge, or its network, for good or for a time.
	Removed
	// BadToken: the token that the edge showed is unknown, used up, expired, or for
	// another community, and nothing else admits it.
	BadToken
	// Waiting: the edge is admitted as soon as that is on the disk, or its password has
	// been looked at. Nothing is said, so that it asks again.
	Waiting
	// BadUser: nobody of the name is allowed, or has another password, and nothing else
	// admits the edge.
	BadUser
	// Limited: passwords are not tried now: too many were wrong, or too many wait.
	Limited
	// Unsaved: the edge would be admitted, and that cannot be written to the disk now.
	Unsaved
)

// Verdict is the answer to a Request.
type Verdict struct {
	// Reason is Admitted, or why not.
	Reason Reason
	// Since is when the operator removed the edge; zero: it is not known, or not Removed.
	Since time.Time
	// Until is when the edge may come again after a kick; zero: nobody knows.
	Until time.Time
}

// Tokens admit edges of communities that no rule admits. A Policy calls its methods
// while its owner holds what guards the Policy, so they do no I/O.
type Tokens interface {
	// Redeem returns Admitted if the token of r is good for its community and identity,
	// or if r has no token and its identity was admitted there by one that still holds.
	// Without a token it returns NotServed otherwise, and BadToken with one; Waiting or
	// Unsaved while its use is not on the disk.
	Redeem(now time.Time, r *Request) Reason
	// Note returns a sentence about what is wrong with the tokens; empty: nothing is.
	Note() string
}

// Users say who has proved to be which user. A Policy calls their methods while its owner
// holds what guards the Policy, so they do no I/O and no long computation.
type Users interface {
	// Of returns the user whose password an edge of that identity has shown, and the hash
	// that the password had; empty: none.
	Of(now time.Time, identity [32]byte) (user, hash string)
	// Prove looks at the name and password of r, where hash is that of the user, empty:
	// there is none of the name. It returns Waiting at first, and later has Of return the
	// user, or returns BadUser. It takes as long for a name that there is not.
	Prove(now time.Time, r *Request, hash string) Reason
	// Note returns a sentence about what is wrong with the users; empty: nothing is.
	Note() string
}

// Proofs are what admits edges that no rule does, each nil where there are none.
type Proofs struct {
	Tokens Tokens
	Users  Users
}

// Note returns a sentence about what is wrong with the proofs; empty: nothing is.
func (p Proofs) Note() string {
	if p.Tokens != nil {
		if note := p.Tokens.Note(); note != "" {
			return note
		}
	}
	if p.Users != nil {
		return p.Users.Note()
	}
	return ""
}

// Policy decides who may register. Its methods belong to one goroutine at a time.
type Policy struct {
	rules  *Rules
	proofs Proofs
	kicked map[identity]kick
}

// kick keeps an edge away for a time.
type kick struct{ since, until time.Time }

// KickTime is for how long an edge that was kicked is kept away.
const KickTime = time.Minute

// kickedMost is how many edges may be kept away at a time.
const kickedMost = 4096

// errKicked says that no more edges can be kicked for now.
var errKicked = errors.New("too many edges were kicked within a minute: ban them, or try again in a minute")

// New returns a Policy with rules, and with what else admits edges.
func New(rules *Rules, proofs Proofs) *Policy {
	return &Policy{rules: rules, proofs: proofs, kicked: make(map[identity]kick)}
}

// Replace makes other rules those that hold.
func (p *Policy) Replace(rules *Rules) { p.rules = rules }

// Rules returns the rules that hold. They do not change.
func (p *Policy) Rules() *Rules { return p.rules }

// Decide decides about a request. A rule about an edge goes before one about its
// community, and a ban before an allowance, unless that is of the edge itself:
//
//	a banned or kicked edge           Removed
//	a community that is denied        NotServed
//	an edge that is allowed           Admitted
//	a banned network                  Removed
//	an open supernode, or a community
//	that is allowed                   Admitted
//	a user that is allowed            Admitted
//	otherwise                         what the tokens say, or NotServed
func (p *Policy) Decide(now time.Time, r *Request) Verdict {
	if v, removed := p.removed(now, r.Identity); removed {
		return v
	}
	c, edge := p.rules.community(r.CID, r.NameHash), p.rules.edge(r.Identity)
	switch source := p.rules.source(r.Source); {
	case c != nil && c.Verb == Deny:
		return Verdict{Reason: NotServed}
	case edge.allowance != nil && edge.allowance.Verb == Allow:
		return Verdict{}
	case source != nil && source.Verb == Ban:
		return Verdict{Reason: Removed, Since: source.Since}
	case c != nil || p.rules.mode == Open:
		return Verdict{}
	}
	as := p.asUser(now, r)
	if as == Admitted || as == Waiting || p.proofs.Tokens == nil {
		return Verdict{Reason: as}
	}
	if by := p.proofs.Tokens.Redeem(now, r); by != NotServed || r.User == "" {
		return Verdict{Reason: by}
	}
	return Verdict{Reason: as}
}

// asUser returns what a request is as one of a user: NotServed where it is of none.
func (p *Policy) asUser(now time.Time, r *Request) Reason {
	if p.proofs.Users == nil {
		return NotServed
	}
	user, hash := p.proofs.Users.Of(now, r.Identity)
	if user != "" && (r.User == "" || r.User == user) && hash == p.rules.hash(user) {
		return Admitted
	}
	if r.User == "" {
		return NotServed
	}
	return p.proofs.Users.Prove(now, r, p.rules.hash(r.User))
}

// removed reports whether the operator has banned or kicked an edge.
func (p *Policy) removed(now time.Time, id [32]byte) (v Verdict, removed bool) {
	if ban := p.rules.edge(id).ban; ban != nil && ban.Verb == Ban {
		return Verdict{Reason: Removed, Since: ban.Since}, true
	}
	for _, key := range [...]identity{whole(id), short(id)} {
		if k, ok := p.kicked[key]; ok && now.Before(k.until) {
			return Verdict{Reason: Removed, Since: k.since, Until: k.until}, true
		}
	}
	return Verdict{}, false
}

// Kick keeps an edge away for KickTime. id is an identity as crypto.ParseID reads it.
func (p *Policy) Kick(now time.Time, id string) error {
	key, err := parseIdentity(id)
	if err != nil {
		return err
	}
	for other, k := range p.kicked {
		if !now.Before(k.until) {
			delete(p.kicked, other)
		}
	}
	if _, known := p.kicked[key]; !known && len(p.kicked) >= kickedMost {
		return errKicked
	}
	p.kicked[key] = kick{since: now, until: now.Add(KickTime)}
	return nil
}

// Pardon ends what Kick began, for every edge that an identity names, short or whole.
func (p *Policy) Pardon(id string) {
	key, err := parseIdentity(id)
	if err != nil {
		return
	}
	for other := range p.kicked {
		if other == key || short(other.bytes) == short(key.bytes) && other.whole != key.whole {
			delete(p.kicked, other)
		}
	}
}

// Label returns what the operator calls a community: the label of the rule about it, or
// the name in it; empty: no rule names it.
func (p *Policy) Label(cid [16]byte, nameHash [32]byte) string {
	c := p.rules.community(cid, nameHash)
	switch {
	case c == nil:
		return ""
	case c.Label == "" && c.Kind == CommunityName:
		return c.Subject
	}
	return c.Label
}
