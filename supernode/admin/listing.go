package admin

import (
	"cmp"
	"net/netip"
	"time"
)

// Communities are some of those with a registration, as GET /api/v1/communities returns
// them. A supernode may have many thousands: Next says where the next document begins.
type Communities struct {
	// UptimeS is the time since the supernode's start in seconds.
	UptimeS float64 `json:"uptime_s"`
	// Communities are in no order.
	Communities []CommunityStatus `json:"communities"`
	// Next is the place from which the rest is told (?from=NEXT); 0: this is the end. A
	// community may be told twice where others went meanwhile.
	Next int `json:"next,omitempty"`
}

// Edges are some of the edges that are here, as GET /api/v1/edges returns them, or, with
// ?community=ID, some of that community.
type Edges struct {
	// UptimeS is as in Communities.
	UptimeS float64 `json:"uptime_s"`
	// Edges are in no order.
	Edges []Edge `json:"edges"`
	// Next is as in Communities.
	Next int `json:"next,omitempty"`
}

// Edge is an edge with a live session. What it is called, and what it sends, the
// supernode does not know.
type Edge struct {
	// Community is the id of its community in hexadecimal.
	Community string `json:"community"`
	// Label is that of the community, as in CommunityStatus.
	Label string `json:"label,omitempty"`
	// ID is the identity in its short form, which 'edge status' shows there too, and
	// Identity the whole one in hexadecimal.
	ID       string `json:"id"`
	Identity string `json:"identity"`
	// MAC is its hardware address.
	MAC string `json:"mac"`
	// Lease is its overlay address; not valid if it wants none from here.
	Lease netip.Prefix `json:"lease"`
	// Underlay is where it is.
	Underlay Underlay `json:"underlay"`
	// SinceS is for how long it has been here, SilentS for how long nothing has come from
	// it, both in seconds.
	SinceS  float64 `json:"since_s"`
	SilentS float64 `json:"silent_s"`
	// Direct is to how many members it sends its floods by itself, as it says: it has
	// direct paths to these. The others get them from here.
	Direct int `json:"direct"`
	// Bridge says that hosts stand behind it, as it says.
	Bridge bool `json:"bridge"`
	// Relayed counts what was relayed for it since it registered first.
	Relayed Traffic `json:"relayed"`
	// Limited says what of that was too much; nil: nothing ever was.
	Limited *Excess `json:"limited,omitempty"`
	// Month is what its identity has used in this month, in all communities, and
	// SourceMonth what was used from where it is; zero: nothing, and there is no limit.
	Month       Month `json:"month,omitzero"`
	SourceMonth Month `json:"source_month,omitzero"`
}

// EdgeKey is what an edge is known by.
type EdgeKey struct{ Community, Identity string }

// Key returns what the edge is known by.
func (e Edge) Key() EdgeKey { return EdgeKey{e.Community, e.Identity} }

// Compare orders edges by community, and in one those first that have been here for
// longer, for slices.SortFunc.
func (e Edge) Compare(other Edge) int {
	return cmp.Or(cmp.Compare(e.Community, other.Community), cmp.Compare(other.SinceS, e.SinceS), cmp.Compare(e.Identity, other.Identity))
}

// Underlay is where a supernode sees an edge.
type Underlay struct {
	// Transport is how its session comes: TransportUDP or TransportStream.
	Transport string `json:"transport"`
	// Address is where its packets come from. The port of a stream is 0: it says nothing.
	Address netip.AddrPort `json:"address"`
	// NAT is NATNone or NATBefore; empty: that cannot be told.
	NAT string `json:"nat,omitempty"`
	// RTTms is the round trip that was measured last, in milliseconds; nil: none was.
	RTTms *float64 `json:"rtt_ms,omitempty"`
}

// How a session comes.
const (
	TransportUDP    = "udp"
	TransportStream = "stream" // TLS
)

// What an edge that comes by UDP has before it: its address is one of those that it says
// its interfaces have, or none of them.
const (
	NATNone   = "none"
	NATBefore = "nat"
)

// Excess is what was not relayed since it went over a limit.
type Excess struct {
	// Packets counts from the registration on.
	Packets uint64 `json:"packets"`
	// AgeS is how long ago the last one came, in seconds.
	AgeS float64 `json:"age_s"`
	// Limit is which one the last went over: one of the Limit constants.
	Limit string `json:"limit"`
}

// What there are limits of.
const (
	LimitBytes           = "bytes of the edge"
	LimitCopies          = "copies of floods of the edge"
	LimitNetworkCopies   = "copies of floods of its network"
	LimitCommunityBytes  = "bytes of the community"
	LimitCommunityCopies = "copies of floods of the community"
	LimitLine            = "an equal part of the line"
	LimitLoad            = "an equal part of the processor"
	LimitMonth           = "the month of all"
	LimitCommunityMonth  = "the month of the community"
	LimitEdgeMonth       = "the month of the edge"
	LimitNetworkMonth    = "the month of its network"
)

// limitedNow is how long after the last packet over a limit an edge counts as limited.
const limitedNow = time.Minute

// Now reports whether something went over a limit in the last minute. A nil Excess has
// nothing.
func (e *Excess) Now() bool { return e != nil && e.AgeS < limitedNow.Seconds() }
