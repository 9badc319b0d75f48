package control

import "time"

// Members is a community's list of members, as GET /api/v1/members returns it.
type Members struct {
	// Community is the name of the community.
	Community string `json:"community"`
	// ID is the community's identifier, 32 hexadecimal digits.
	ID string `json:"community_id"`
	// Listed says that the community has a list of members.
	Listed bool `json:"listed"`
	// Authority is the public key in base64 by which the list is signed; empty without a
	// list.
	Authority string `json:"authority,omitempty"`
	// Serial is the number of the list; 0: none is here yet.
	Serial uint64 `json:"serial"`
	// Made is when the list was signed, by the authority's clock.
	Made time.Time `json:"made,omitzero"`
	// Stale is from when on there should be a newer list, and IsStale says that there is
	// none.
	Stale   *time.Time `json:"stale,omitempty"`
	IsStale bool       `json:"is_stale,omitempty"`
	// NextIndex is the index of the next key that the authority makes.
	NextIndex int `json:"next_index"`
	// Entries are in order of the identities.
	Entries []ListedMember `json:"entries"`
}

// ListedMember is one identity in a list of members.
type ListedMember struct {
	// ID is the identity, 64 hexadecimal digits.
	ID string `json:"id"`
	// Name is what the member calls itself, as far as it was seen; empty: it was not.
	Name string `json:"name,omitempty"`
	// Roles are bridge, hub and router; none: a plain member.
	Roles []string `json:"roles,omitempty"`
	// Expires is when the membership ends; nil: it does not.
	Expires *time.Time `json:"expires,omitempty"`
	// Revoked and Expired say that it is a member no more.
	Revoked bool `json:"revoked,omitempty"`
	Expired bool `json:"expired,omitempty"`
	// Self is the edge that was asked, and Session says that it has a session with this
	// member.
	Self    bool `json:"self,omitempty"`
	Session bool `json:"session,omitempty"`
}
