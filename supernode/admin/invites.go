package admin

import (
	"context"
	"net/http"
	"time"

	"hedgerow/internal/localapi"
)

// Where invites are made, shown and taken back.
const (
	pathInvites  = "/api/v1/invites"
	pathInvite   = "/api/v1/invites/new"
	pathUninvite = "/api/v1/invites/remove"
)

// Invite describes an invite to the operator. It holds no token.
type Invite struct {
	// ID is by what the invite is taken back.
	ID string `json:"id"`
	// Community is the name of the community that it is to.
	Community string `json:"community"`
	// Made is when the invite was made.
	Made time.Time `json:"made"`
	// Expires is from when on it lets nobody in any more. Who has used it stays.
	Expires time.Time `json:"expires"`
	// Uses is for how many edges it is good.
	Uses int `json:"uses"`
	// Used are the edges that have used it.
	Used []InviteUse `json:"used"`
}

// InviteUse is an edge that has used an invite.
type InviteUse struct {
	// Identity has 64 hexadecimal digits.
	Identity string `json:"identity"`
	// At is when it was let in by the invite.
	At time.Time `json:"at"`
}

// InviteRequest asks for an invite.
type InviteRequest struct {
	// Community is the name of a community.
	Community string `json:"community"`
	// TTLS is for how many seconds the invite lets edges in.
	TTLS int64 `json:"ttl_s"`
	// Uses is how many edges.
	Uses int `json:"uses"`
}

// Invited is an invite that was made. Whoever has the token may use it: it is shown once.
type Invited struct {
	Invite
	// Token is what the edge shows, in unpadded base64url.
	Token string `json:"token"`
	// Key is the static key of the supernode, in unpadded base64url.
	Key string `json:"key"`
	// Port is the UDP port of the supernode.
	Port uint16 `json:"port"`
	// Obfs is the obfuscation key of the supernode, in unpadded base64url; empty: it has none.
	Obfs string `json:"obfs,omitempty"`
	// Needed says that an edge of the community is not let in without an invite. It is
	// false while the supernode is open, or allows the community.
	Needed bool `json:"needed"`
}

// Uninvite takes an invite back.
type Uninvite struct {
	// ID is that of the invite.
	ID string `json:"id"`
}

// Uninvited is what was taken back.
type Uninvited struct {
	Invite
	// Ended is how many registrations have ended because of it.
	Ended int `json:"ended"`
}

// Invitations are what a supernode does about invites. Every method is called from the
// goroutine of one request. The errors are sentences for the operator.
type Invitations interface {
	// Invite makes an invite. It is on the disk when it returns.
	Invite(r InviteRequest) (Invited, error)
	// Invites returns all invites, the oldest first.
	Invites() []Invite
	// Uninvite takes an invite back: it lets nobody in any more, nor those who have used
	// it. It returns early when ctx ends.
	Uninvite(ctx context.Context, id string) (Uninvited, error)
}

// handleInvites adds invites to a handler.
func handleInvites(mux *http.ServeMux, v Invitations) {
	mux.HandleFunc("GET "+pathInvites, func(w http.ResponseWriter, _ *http.Request) { localapi.Answer(w, v.Invites()) })
	mux.HandleFunc("POST "+pathInvite, func(w http.ResponseWriter, r *http.Request) {
		answerAsked(w, r, v.Invite)
	})
	mux.HandleFunc("POST "+pathUninvite, func(w http.ResponseWriter, r *http.Request) {
		answerAsked(w, r, func(asked Uninvite) (Uninvited, error) { return v.Uninvite(r.Context(), asked.ID) })
	})
}

// Invite asks for an invite.
func (s Socket) Invite(ctx context.Context, r InviteRequest) (Invited, error) {
	var made Invited
	err := localapi.Ask(ctx, string(s), pathInvite, r, &made)
	return made, err
}

// Invites fetches all invites.
func (s Socket) Invites(ctx context.Context) ([]Invite, error) {
	var list []Invite
	err := localapi.Get(ctx, string(s), pathInvites, &list)
	return list, err
}

// Uninvite takes an invite back.
func (s Socket) Uninvite(ctx context.Context, id string) (Uninvited, error) {
	var gone Uninvited
	err := localapi.Ask(ctx, string(s), pathUninvite, Uninvite{ID: id}, &gone)
	return gone, err
}
