package edge

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/roster"
)

// Members returns the list of members, and what is known of those who are in it.
func (e *Edge) Members(ctx context.Context) (control.Members, error) {
	return ask(ctx, e, e.data.lists.document)
}

// document describes the list of members.
func (l *listKeeper) document(now time.Time) control.Members {
	a := l.admission
	cid := l.sessions.keys.community.ID()
	v := control.Members{Community: l.sessions.keys.community.Name, ID: hex.EncodeToString(cid[:]), Listed: a.on, Entries: []control.ListedMember{}}
	for _, e := range l.sessions.keys.community.Epochs {
		v.NextIndex = max(v.NextIndex, int(e.Index)+1)
	}
	if a.on {
		v.Authority = crypto.EncodeAuthority(l.sessions.keys.community.Authority)
	}
	if a.list == nil {
		return v
	}
	v.Serial, v.Made, v.Stale = a.list.Head.Serial, a.list.Made(), bound(a.list.Stale())
	v.IsStale = v.Stale != nil && !a.wall.IsZero() && !a.wall.Before(*v.Stale)
	known := make(map[[32]byte]*peer)
	for _, p := range l.peers.byStatic {
		if p.known() {
			known[p.identity.statement.ID] = p
		}
	}
	for _, e := range a.list.Entries() {
		m := control.ListedMember{ID: hex.EncodeToString(e.ID[:]), Roles: e.Role.Names(), Expires: bound(e.Expires), Revoked: e.Revoked(), Expired: e.Expired(a.wall)}
		switch p := known[e.ID]; {
		case e.ID == a.own:
			m.Name, m.Self = l.self, true
		case p != nil:
			m.Name = p.about.Name
			m.Session = p.sessions.current != nil && l.admission.exchanges(p)
		}
		v.Entries = append(v.Entries, m)
	}
	return v
}

// AdoptMembers takes a list of members, and keys, that the authority has signed, and gives
// them to the other members. It fails with a sentence for the user.
func (e *Edge) AdoptMembers(ctx context.Context, file []byte) error {
	refused, err := ask(ctx, e, func(now time.Time) error { return adoptMembers(e, now, file) })
	if err != nil {
		return err
	}
	return refused
}

// adoptMembers is AdoptMembers in the control loop.
func adoptMembers(e *Edge, now time.Time, file []byte) error {
	err := e.data.lists.install(now, file)
	if err == nil {
		e.servers.lists.changed(now, true)
	}
	return err
}

// install takes a list, and keys, from the user.
func (l *listKeeper) install(now time.Time, file []byte) error {
	if !l.admission.on {
		return fmt.Errorf("this community has no list of members: write members = list and the authority into its file, at all members, and start them anew")
	}
	f, err := roster.ParseFile(l.sessions.keys.community, file)
	switch {
	case err != nil:
		return fmt.Errorf("the list of members is not signed by the authority in the community's file: %w", err)
	case f.List == nil, !l.adopt(now, f.List):
		return fmt.Errorf("a list of members with serial %d or a newer one is here already: type 'edge members', and do it again", l.admission.floor)
	}
	for _, m := range f.Rolls {
		l.take(now, m)
	}
	return nil
}

// notes returns what the user should know of the list of members.
func (l *listKeeper) notes(is roster.Role) []string {
	list := append(l.admission.notes(is), l.store.notes()...)
	var shut []string
	for _, p := range l.peers.byStatic {
		if l.admission.on && p.identity.listing.shut && l.admission.admits(l.admission.own) {
			shut = append(shut, fmt.Sprintf("%s says that this edge is no member by the list that it has, and takes no frames: ask whoever has the authority's key. [E65]", p.title()))
		}
	}
	slices.Sort(shut)
	return append(list, shut[:min(apartShown, len(shut))]...)
}
