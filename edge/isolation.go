package edge

import (
	"bytes"
	"fmt"
	"slices"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/protocol"
)

// isolation says whom frames are exchanged with: every member, unless the
// community has hubs. Then its other members, leaves, see the hubs alone (E-Tree, MEF 6.3).
// Who is a member admission says.
//
// Who is a hub all members know from what the community's operator gives them, and who a
// peer is it proves in its session. So no leaf can pass for a hub, and each member holds
// the others to it: leaves have no sessions with each other, and the queues drop frames of
// whoever is none to exchange frames with.
type isolation struct {
	own   [32]byte
	typed [][32]byte // by option
	hubs  [][32]byte // in order; none: everybody exchanges frames with everybody

	admission *admission
}

// newIsolation returns that of an edge with an identity, which was given hubs by option or
// none.
func newIsolation(own [32]byte, typed [][32]byte, c *crypto.Community, a *admission) *isolation {
	i := &isolation{own: own, typed: typed, admission: a}
	i.hubs = i.of(c)
	return i
}

// of returns the hubs that a community has here: those of the list of members, which the
// authority has signed, before any other.
func (i *isolation) of(c *crypto.Community) [][32]byte {
	if hubs := i.admission.hubs(); len(hubs) > 0 {
		return hubs
	}
	if len(c.Hubs) > 0 {
		return c.Hubs
	}
	return i.typed
}

// errHubs says that file and option name different hubs.
func errHubs(c *crypto.Community, typed [][32]byte) error {
	if len(c.Hubs) == 0 || len(typed) == 0 || slices.Equal(c.Hubs, typed) {
		return nil
	}
	return fmt.Errorf("the community's file names other hubs than --hubs: leave --hubs out, the file is what all members have")
}

// on reports whether the community has hubs.
func (i *isolation) on() bool { return len(i.hubs) > 0 }

// closed reports whether frames are exchanged with some alone.
func (i *isolation) closed() bool { return i.on() || i.admission.on }

// isHub reports whether an identity is that of a hub.
func (i *isolation) isHub(id [32]byte) bool {
	_, found := slices.BinarySearchFunc(i.hubs, id, func(a, b [32]byte) int { return bytes.Compare(a[:], b[:]) })
	return found
}

// exchanges reports whether frames pass between a peer and us: it is a member, and one of
// the two is a hub, the peer by its own word, in its session.
func (i *isolation) exchanges(p *peer) bool { return i.admission.exchanges(p) && i.pairs(p) }

// pairs reports whether the hubs let frames pass between a peer and us.
func (i *isolation) pairs(p *peer) bool {
	return !i.on() || i.isHub(i.own) || p.identity.proven && i.isHub(p.identity.statement.ID)
}

// joins reports whether frames pass between two peers, as far as they have proved who they
// are.
func (i *isolation) joins(a, b *peer) bool {
	if !i.admission.trusts(a) || !i.admission.trusts(b) {
		return false
	}
	return !i.on() || a.place.hub && a.identity.proven || b.place.hub && b.identity.proven
}

// bars reports whether a peer has proved that it is no member, or no hub, as we are none:
// there is nothing to say to it. Nobody (nil) has.
func (i *isolation) bars(p *peer) bool {
	return p != nil && p.identity.proven && (!i.pairs(p) || i.admission.bars(p))
}

// greets reports whether a handshake with a peer may begin: it is a hub, as far as anybody
// says, or we are, or nobody has said yet who it is.
func (i *isolation) greets(p *peer) bool {
	return i.admission.greets(p) && i.greetsHub(p)
}

// greetsHub is greets as far as the hubs decide it.
func (i *isolation) greetsHub(p *peer) bool {
	return i.pairs(p) || !p.known() || !p.identity.proven && p.place.hub
}

// hinted notes who somebody else says that a peer is. One word for a hub is enough to ask
// the peer itself: others may claim its key.
func (i *isolation) hinted(p *peer, id [32]byte) {
	if !p.identity.proven && i.isHub(id) {
		p.place.hub = true
	}
}

// settle says whether a peer is one to exchange frames with as far as anybody says, a hub
// or, in a community with a list and without hubs, a member, and returns whether frames
// pass.
func (i *isolation) settle(p *peer) (expected, exchanges bool) {
	if p.known() {
		p.place.hub = i.isHub(p.identity.statement.ID) || p.place.hub && !p.identity.proven && i.on()
	}
	p.place.hidden = !i.admission.trusts(p)
	expected = p.place.hub || i.admission.on && !i.on()
	return expected && !p.place.hidden, i.exchanges(p)
}

// role says what somebody is in an isolated community, empty in any other.
func (i *isolation) role(id [32]byte) string {
	switch {
	case !i.on():
		return ""
	case i.isHub(id):
		return control.RoleHub
	}
	return control.RoleLeaf
}

// features returns what peers are told of us in handshakes: a supernode is not told.
func (i *isolation) features() uint32 {
	var f uint32
	if i.on() {
		f |= protocol.FeatureIsolated
	}
	if i.admission.on {
		f |= protocol.FeatureLists
	}
	return f
}

// replace takes the hubs of a community that was read again, and reports whether they are
// others than before.
func (i *isolation) replace(c *crypto.Community) (changed bool) {
	was := i.features()
	hubs := i.of(c)
	changed = !slices.Equal(hubs, i.hubs) || i.features() != was
	i.hubs = hubs
	return changed
}

// apart reports whether a peer with a session has said that the community has hubs and
// there are none here, or the other way round.
func (i *isolation) apart(p *peer) bool {
	return p.sessions.current != nil && (p.sessions.current.Features()&protocol.FeatureIsolated != 0) != i.on()
}

// apartShown bounds how many members are named who have other hubs than this edge.
const apartShown = 3

// notes returns what the user should know.
func (i *isolation) notes(peers map[[32]byte]*peer) (list []string) {
	reached := i.isHub(i.own)
	for _, p := range peers {
		reached = reached || p.place.hub && p.identity.proven && p.sessions.current != nil
		switch {
		case !i.apart(p):
		case i.on():
			list = append(list, fmt.Sprintf("%s does not know that this community has hubs: frames that it floods are dropped. Give it the same community file, or the same --hubs. [E38]", p.title()))
		default:
			list = append(list, fmt.Sprintf("%s says that this community has hubs, and this edge knows none: frames that it floods are dropped there. Take the community file, or the --hubs, that %[1]s has. [E38]", p.title()))
		}
	}
	slices.Sort(list)
	list = list[:min(apartShown, len(list))]
	if i.on() && !reached {
		list = append(list, fmt.Sprintf("this edge exchanges frames with hubs alone, and none is reached: %s. One of them has to run, in this community. [E39]", i.names()))
	}
	return list
}

// namesShown bounds how many hubs a note names.
const namesShown = 3

// names returns the hubs' identities in short.
func (i *isolation) names() string {
	var b bytes.Buffer
	for n, id := range i.hubs[:min(namesShown, len(i.hubs))] {
		if n > 0 {
			b.WriteString(", ")
		}
		b.WriteString(crypto.ShortID(id[:]))
	}
	return b.String()
}

// unheard returns why a message of a peer is not heard, empty: it is.
func (i *isolation) unheard(p *peer, typ protocol.MsgType) refusal {
	switch {
	case concernsPath(typ) && !i.admission.trusts(p):
		return refusedUnlisted
	case concernsFrames(typ) && !i.admission.exchanges(p):
		return refusedUnlisted
	case concernsFrames(typ) && !i.exchanges(p):
		return refusedIsolated
	}
	return ""
}

// concernsPath reports whether messages of a type arrange a direct path: they are answered
// with where we are, so in a community with a list they are heard of members alone.
func concernsPath(typ protocol.MsgType) bool {
	switch typ {
	case protocol.MsgCand, protocol.MsgCall, protocol.MsgCallAck, protocol.MsgGo:
		return true
	}
	return false
}

// concernsFrames reports whether messages of a type decide where frames go, or who is
// found: they are heard from those whom frames are exchanged with.
func concernsFrames(typ protocol.MsgType) bool {
	switch typ {
	case protocol.MsgSegment, protocol.MsgHostAsk, protocol.MsgHostIs, protocol.MsgForward, protocol.MsgForwarded, protocol.MsgRoutes:
		return true
	}
	return false
}

// unlistedText says that frames were dropped since they came from whoever is no member.
func unlistedText(who string) string {
	return fmt.Sprintf("dropped frames of %s: it is not in the list of members, or has not said who it is. If it is meant to be in, type 'edge admit ID' where the authority's key is. [E65]", who)
}

// isolatedText says that frames were dropped since they came from whoever is no hub.
func isolatedText(who string, group bool) string {
	if group {
		return fmt.Sprintf("dropped floods in the name of %s that came outside of a session, where any member may say that it is a hub: %[1]s does not know the hubs, or somebody uses its name. Give it the same community file, or the same --hubs. [E38]", who)
	}
	return fmt.Sprintf("dropped frames of %s: it is no hub, and neither is this edge. If it is meant to be one, name it in hubs of the community file, or in --hubs, at all members. [E38]", who)
}
