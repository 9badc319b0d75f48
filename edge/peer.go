package edge

import (
	"encoding/base64"
	"log/slog"
	"net/netip"
	"time"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane"
	"hedgerow/internal/timer"
	"hedgerow/protocol"
)

// peer is another edge as the control loop knows it. Each owner keeps its part in a
// substate, which it alone changes but where a field says otherwise. What has no
// owner named is the book's (peers.go).
type peer struct {
	view   *dataplane.Peer
	former *dataplane.Peer // the view before its hardware address changed; nil: none

	identity identity
	about    protocol.About
	handles  [maxSupernodes]uint32 // by supernode; 0: unknown there
	seen     time.Time             // when a supernode last told of it, or the peer itself was heard
	recalled bool                  // known from the state file, and no supernode has told of it yet
	place    place

	changed bool // it waits in the book's list to be settled
	gone    bool // it was forgotten

	forgetting timer.Timer // the book's
	asking     timer.Timer // the directory's: its statement is asked for again

	sessions pairSessions // the sessions owner's
	reach    reachability // routing's, with parts of punching and of the introducers
	reported peerReport   // the reporter's
}

// place is a peer's place in the book.
type place struct {
	source      netip.Addr      // what it is counted under; not valid: nobody in particular
	unconfirmed bool            // the peer is known by an INIT alone, whose session is not confirmed
	kept        bool            // its session is kept while nothing passes (bridges.go)
	hub         bool            // of an isolated community, by a hint or by its own word: the session is kept as well (isolation.go)
	hidden      bool            // it is not known to be a member: it is not to learn where we are (admission.go)
	linked      bool            // we have a link with it, or want one: it is always in use (links.go)
	router      bool            // networks are behind it, by its word or a supernode's (subnets.go)
	routed      bool            // of which we accept one: it is always in use, too
	carried     bool            // our link with it had a carrier when another process handed over, and was told (links.go)
	mtu         int             // that it said its device has, in bytes; 0: it has said nothing
	met         *dataplane.Peer // the view whose memberships its session has made known (listeners.go); nil: none
}

// identity is who a peer is: by a hint of somebody else, or proven by itself.
type identity struct {
	statement crypto.Statement
	raw       []byte         // the statement as signed; nil while unknown
	newest    uint64         // the highest number that was acted upon
	proven    bool           // the peer has said so itself, in a session
	bound     bool           // its hardware address is its own
	claims    claims         // the guard's
	addresses []netip.Prefix // that the peer says, in a session, its device has
	listing   listing        // the list keeper's
}

// known reports whether the peer's statement is known.
func (p *peer) known() bool { return p.identity.raw != nil }

// shortID returns the short form of the peer's identity.
func (p *peer) shortID() string { return crypto.ShortID(p.identity.statement.ID[:]) }

// title returns what the user knows the peer by.
func (p *peer) title() string {
	if p.about.Name != "" {
		return p.about.Name
	}
	return p.shortID()
}

// reaches reports whether frames reach the peer as far as we know: there is a session, and
// a path on which pings are answered.
func (p *peer) reaches(plane *dataplane.Plane) bool {
	r := p.view.Route()
	if r.Session == nil {
		return false
	}
	return r.Direct.IsValid() || r.Supernode != nil && !plane.NoRelay() && !p.reach.relay.silent
}

// LogValue names the peer in log lines: by its static key while nothing else is
// known of it.
func (p *peer) LogValue() slog.Value {
	if p.known() {
		return slog.StringValue(p.title())
	}
	static := p.view.Static()
	return slog.StringValue("key " + base64.RawURLEncoding.EncodeToString(static[:6]))
}

// peerReport is what the user was told about a peer.
type peerReport struct {
	up, direct bool
}
