package edge

import (
	"fmt"
	"time"

	"hedgerow/crypto"
	"hedgerow/protocol"
	"hedgerow/roster"
)

// admission says who is a member: whoever has the community's keys, unless the community
// has a list of members. Then it is who is in that by an identity that he has proved, and
// each member holds the others to it. Nobody's word is needed but the authority's, whose
// signature the list has.
type admission struct {
	own   [32]byte
	on    bool         // members = list
	list  *roster.List // the newest; nil: none is known yet
	wall  time.Time    // of the last look at the clock; zero: it is known to be wrong
	floor uint64       // the highest serial that there ever was here: no lower one counts
}

// head returns the head of the list, nil: there is none.
func (a *admission) head() *protocol.ListHead {
	if a.list == nil {
		return nil
	}
	return &a.list.Head
}

// member returns the entry of an identity that is a member now.
func (a *admission) member(id [32]byte) (roster.Entry, bool) {
	if a.list == nil {
		return roster.Entry{}, false
	}
	e, ok := a.list.Find(id)
	return e, ok && !e.Revoked() && !e.Expired(a.wall)
}

// admits reports whether the holder of an identity is a member.
func (a *admission) admits(id [32]byte) bool {
	if !a.on {
		return true
	}
	_, ok := a.member(id)
	return ok
}

// refuses reports whether it is known that the holder of an identity is no member.
func (a *admission) refuses(id [32]byte) bool { return a.on && a.list != nil && !a.admits(id) }

// exchanges reports whether a peer has proved to be a member.
func (a *admission) exchanges(p *peer) bool {
	return !a.on || p.identity.proven && a.admits(p.identity.statement.ID)
}

// trusts reports whether a peer is a member, by its own word or by that of a member, who
// signed for its key. It may be told where we are.
func (a *admission) trusts(p *peer) bool {
	return !a.on || p.known() && a.admits(p.identity.statement.ID)
}

// bars reports whether a peer has proved to be no member, and brings no list that says
// otherwise.
func (a *admission) bars(p *peer) bool {
	return p.identity.proven && a.refuses(p.identity.statement.ID) && !p.identity.listing.brings
}

// hearsAgain is how long after the end of its last session somebody who is in no list of
// members here may bring a newer one.
const hearsAgain = time.Minute

// hears reports whether a peer that is barred may have a session again, for as long as it
// takes to say which list it has.
func (a *admission) hears(now time.Time, p *peer) bool {
	st := &p.identity.listing
	if !a.bars(p) || now.Sub(st.barred) < hearsAgain {
		return false
	}
	st.barred, st.brings, st.until = now, true, now.Add(confirmWithin)
	return true
}

// greets reports whether a handshake with a peer may begin: nobody knows it to be no
// member. While there is no list here it may have one.
func (a *admission) greets(p *peer) bool { return !p.known() || !a.refuses(p.identity.statement.ID) }

// may reports whether a peer has a role, which somebody who has not proved who he is has
// not. Without a list everybody may be everything.
func (a *admission) may(p *peer, role roster.Role) bool {
	if !a.on {
		return true
	}
	e, ok := a.member(p.identity.statement.ID)
	return ok && p.identity.proven && e.Role&role != 0
}

// hubs returns the hubs that the list names, in order.
func (a *admission) hubs() (list [][32]byte) {
	if !a.on || a.list == nil {
		return nil
	}
	for _, e := range a.list.Entries() {
		if e.Role&roster.Hub != 0 && !e.Revoked() && len(list) < crypto.MaxHubs {
			list = append(list, e.ID)
		}
	}
	return list
}

// notes returns what the user should know of the list.
func (a *admission) notes(is roster.Role) (list []string) {
	switch {
	case !a.on:
		return nil
	case a.list == nil && a.floor > 0:
		return []string{fmt.Sprintf("the list of members in the state directory is missing or older than serial %d, which was here: no frames pass until a member with that one or a newer one is met. [E64]", a.floor)}
	case a.list == nil:
		return []string{"this community has a list of members, and none is here yet: no frames pass until a member that has it is met, or the authority signs the first one with 'edge admit'. [E64]"}
	}
	e, listed := a.list.Find(a.own)
	switch {
	case !listed:
		list = append(list, fmt.Sprintf("this edge is not in the list of members (serial %d, of %s): nobody exchanges frames with it. Type 'edge admit %x' where the authority's key is. [E65]", a.list.Head.Serial, date(a.list.Made()), a.own[:]))
	case e.Revoked():
		list = append(list, fmt.Sprintf("this edge was revoked by the list of members (serial %d, of %s): nobody exchanges frames with it. [E65]", a.list.Head.Serial, date(a.list.Made())))
	case e.Expired(a.wall):
		list = append(list, fmt.Sprintf("the membership of this edge ended on %s: nobody exchanges frames with it. Type 'edge admit %x' where the authority's key is. [E65]", date(e.Expires), a.own[:]))
	}
	if missing := is &^ e.Role; listed && !e.Revoked() && missing != 0 {
		list = append(list, fmt.Sprintf("this edge is a %s, and the list of members does not let it be one: others take it for a plain member. Type 'edge admit %x --role %[1]s' where the authority's key is. [E65]", missing.Names()[0], a.own[:]))
	}
	if stale := a.list.Stale(); !stale.IsZero() && !a.wall.IsZero() && !a.wall.Before(stale) {
		list = append(list, fmt.Sprintf("no list of members newer than serial %d of %s, which was to be replaced by %s: either the authority is away or something withholds it. Who was revoked since then may still be here. [E66]",
			a.list.Head.Serial, date(a.list.Made()), date(stale)))
	}
	return list
}

// date words a time for the user.
func date(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }
