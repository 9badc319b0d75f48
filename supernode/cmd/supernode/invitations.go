package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"hedgerow/crypto"
	"hedgerow/internal/invite"
	"hedgerow/supernode"
	"hedgerow/supernode/admin"
	"hedgerow/supernode/admission"
	"hedgerow/supernode/invites"
)

// invitations are what the control socket does about invites.
type invitations struct {
	server *supernode.Server
	ledger *invites.Ledger
	book   *ruleBook
	port   uint16 // where edges come to
	obfs   []byte // the obfuscation key; empty: there is none
}

// Invite makes an invite.
func (v invitations) Invite(r admin.InviteRequest) (made admin.Invited, err error) {
	// This constructor is cheap, and it knows which names are possible.
	c, err := crypto.InsecureCommunity(r.Community)
	if err != nil {
		return made, err
	}
	if r.TTLS < 0 || r.TTLS > int64(invites.MaxTTL/time.Second) { // more seconds than a Duration has would be few
		return made, invites.ErrTTL
	}
	now := time.Now()
	if !v.admits(now, c.NameHash(), anyToken{}) {
		return made, fmt.Errorf("an invite to %q would let nobody in: a rule denies the community. Type 'supernode rules', and 'supernode allow community' to take that back", c.Name)
	}
	var token invite.Token
	_, _ = rand.Read(token[:]) // never fails
	made.Invite, err = v.ledger.Create(now, invites.Request{
		Community: c.Name, NameHash: c.NameHash(), TTL: time.Duration(r.TTLS) * time.Second, Uses: r.Uses,
	}, token)
	if err != nil {
		return admin.Invited{}, err
	}
	v.book.log.Info("an invite was made", "id", made.ID, "community", c.Name, "uses", made.Uses, "expires", made.Expires)
	made.Token, made.Key, made.Port = invite.EncodeToken(token), supernode.KeyText(v.server.Key()), v.port
	made.Obfs = invite.EncodeObfs(v.obfs)
	made.Needed = !v.admits(now, c.NameHash(), nil)
	return made, nil
}

// admits reports whether the rules, with tokens or without, let in an edge of a community of
// which nothing else is known.
func (v invitations) admits(now time.Time, nameHash [32]byte, tokens admission.Tokens) bool {
	v.book.mu.Lock()
	defer v.book.mu.Unlock()
	return admission.New(v.book.rules, admission.Proofs{Tokens: tokens}).Decide(now, &admission.Request{NameHash: nameHash}).Reason == admission.Admitted
}

// anyToken admits whoever comes as far as to be asked for a token.
type anyToken struct{}

func (anyToken) Redeem(time.Time, *admission.Request) admission.Reason { return admission.Admitted }
func (anyToken) Note() string                                          { return "" }

// Invites returns all invites.
func (v invitations) Invites() []admin.Invite { return v.ledger.List() }

// Uninvite takes an invite back, and ends the registrations of those that came by it.
func (v invitations) Uninvite(ctx context.Context, id string) (gone admin.Uninvited, err error) {
	var kept error
	if gone.Invite, kept = v.ledger.Remove(id); errors.Is(kept, invites.ErrNoSuch) {
		return gone, kept
	}
	v.book.log.Info("an invite was taken back", "id", id, "community", gone.Community)
	gone.Ended, err = v.server.Review(ctx)
	return gone, errors.Join(kept, err)
}
