package admin

import (
	"cmp"
	"net/netip"
	"time"

	"hedgerow/transport/stream"
)

// Status is the state of a supernode, as GET /api/v1/status returns it. Communities
// appear by their id: the supernode does not know their names.
type Status struct {
	// Version is the program's.
	Version string `json:"version"`
	// Listen is the address of the UDP socket.
	Listen netip.AddrPort `json:"listen"`
	// Streams is the state of the stream listeners; nil when there are none.
	Streams *stream.Status `json:"streams,omitempty"`
	// Key is the static public key that edges pin, as KeyText returns it.
	Key string `json:"key"`
	// UptimeS is the time since the start in seconds.
	UptimeS float64 `json:"uptime_s"`
	// Edges is the number of registered edges with a live session.
	Edges int `json:"edges"`
	// Leases is the number of registrations whose lease lasts, with those of edges
	// that have no session now.
	Leases int `json:"leases"`
	// Sessions and Guests are the sessions in all and those without a
	// registration.
	Sessions int `json:"sessions"`
	Guests   int `json:"guests"`
	// Communities are those with a registration, the largest first, and no more than
	// StatusCommunities: Socket.Communities has all.
	Communities []CommunityStatus `json:"communities"`
	// Totals count all communities and what was done since the start.
	Totals Totals `json:"totals"`
	// Serving says that edges are served: the start is over, and the end has not begun.
	Serving bool `json:"serving"`
	// SetAside is the file that the stored registrations were moved to at the start,
	// because they were damaged; empty: they were not.
	SetAside string `json:"set_aside,omitempty"`
	// Notes are sentences that an operator should read, about whatever stops or degrades
	// what the supernode does.
	Notes []string `json:"notes"`
	// Drops counts dropped datagrams and messages by reason.
	Drops map[string]uint64 `json:"drops"`
}

// StatusCommunities is how many communities a Status has at most.
const StatusCommunities = 1024

// Totals are what a supernode has in all.
type Totals struct {
	// Communities is how many have a registration now.
	Communities int `json:"communities"`
	// Registered counts the REGISTERs that were accepted since the start: an edge sends
	// one with each session, four times an hour.
	Registered uint64 `json:"registered"`
	// Relayed counts what was relayed since the start.
	Relayed Traffic `json:"relayed"`
	// Rules is how many rules say who may register, and Closed that nobody may whom none
	// of them names, or who shows no invite.
	Rules  int  `json:"rules"`
	Closed bool `json:"closed"`
	// Obfuscated says that there is an obfuscation key, without which nobody finds the
	// supernode.
	Obfuscated bool `json:"obfuscated,omitempty"`
	// Month is what was relayed in this month, and MonthEnds when the next one begins, in
	// which everybody has used nothing.
	Month     Month     `json:"month"`
	MonthEnds time.Time `json:"month_ends"`
	// Redirect is where edges are sent, since the supernode moves; nil: nowhere.
	Redirect *Redirect `json:"redirect,omitempty"`
	// Rotation is the key that takes the place of a former one; nil: none does.
	Rotation *Rotation `json:"rotation,omitempty"`
}

// CommunityStatus is one community of a Status.
type CommunityStatus struct {
	// ID is the community's id in hexadecimal.
	ID string `json:"id"`
	// Label is what the operator calls it; empty: he has not said so.
	Label string `json:"label,omitempty"`
	// Edges and Leases are as in Status.
	Edges  int `json:"edges"`
	Leases int `json:"leases"`
	// Pool is where its addresses are leased from.
	Pool netip.Prefix `json:"pool"`
	// SinceS is for how long somebody has been here, in seconds; 0: nobody is.
	SinceS float64 `json:"since_s"`
	// Relayed counts the packets relayed since the community's first edge registered.
	Relayed Traffic `json:"relayed"`
	// Limited says what of that was more than the community may send; nil: nothing was.
	Limited *Excess `json:"limited,omitempty"`
	// Month is what was relayed for it in this month; zero: nothing, and there is no limit.
	Month Month `json:"month,omitzero"`
}

// Month is what somebody has used in a calendar month, in UTC: bytes that left, with the
// headers of IPv4 and UDP.
type Month struct {
	Used uint64 `json:"used"`
	// Limit is how much may be used; 0: any number.
	Limit uint64 `json:"limit,omitempty"`
}

// Compare orders the larger community before the smaller one, for slices.SortFunc.
func (c CommunityStatus) Compare(other CommunityStatus) int {
	return cmp.Or(cmp.Compare(other.Edges, c.Edges), cmp.Compare(c.ID, other.ID))
}

// Traffic counts relayed packets.
type Traffic struct {
	// Packets and Bytes are the unicast packets that were accepted for relaying and
	// their size without our header.
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	// Floods are the packets that were accepted for a whole community; each was sent
	// as many times as there were members to send it to. FloodBytes is the size of all
	// these copies, counted as in Bytes.
	Floods     uint64 `json:"floods"`
	FloodBytes uint64 `json:"flood_bytes"`
}

// Add adds what was relayed besides.
func (t *Traffic) Add(more Traffic) {
	t.Packets += more.Packets
	t.Bytes += more.Bytes
	t.Floods += more.Floods
	t.FloodBytes += more.FloodBytes
}

// Total returns the bytes that left, those of all copies of floods included.
func (t Traffic) Total() uint64 { return t.Bytes + t.FloodBytes }
