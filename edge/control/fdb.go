package control

// FDB is the forwarding database of an edge, as GET /api/v1/fdb returns it: which
// stations are behind which edge. The edges' own addresses are in the list of peers.
type FDB struct {
	// Stations are the entries, by edge and address.
	Stations []Station `json:"stations"`
	// Totals is what was done since the start.
	Totals FDBTotals `json:"totals"`
	// Groups are the IP multicast groups that hosts have joined.
	Groups Groups `json:"groups"`
}

// Groups are the IP multicast groups that hosts have joined, as an edge knows them by their
// reports. Whatever a group of a link is for, such as mDNS or OSPF, is not among them.
type Groups struct {
	// Transparent says that the edge does not look at memberships (--transparent), and
	// Flooded that frames go to all edges because there are too many of them, or some that
	// the edge does not know.
	Transparent bool `json:"transparent"`
	Flooded     bool `json:"flooded"`
	// Members are those of which it is known, by group, VLAN and edge.
	Members []Member `json:"members"`
	// All are the edges that get all groups, by name.
	All []string `json:"all"`
	// Most is how many memberships can be known, MostBehind those behind one edge; an edge
	// with more gets all groups. Refused are reports beyond these bounds.
	Most       int    `json:"most"`
	MostBehind int    `json:"most_behind"`
	Refused    uint64 `json:"refused"`
	// Suppressed are frames that went nowhere since no edge had a member.
	Suppressed uint64 `json:"suppressed"`
}

// Member says that hosts behind an edge have joined a group.
type Member struct {
	// Group is an IPv4 or IPv6 address.
	Group string `json:"group"`
	// VLAN is the VLAN identifier of their reports, 0 for untagged ones.
	VLAN uint16 `json:"vlan"`
	// Edge and ID are as those of a Station.
	Edge string `json:"edge"`
	ID   string `json:"id,omitempty"`
	// AgeS is how long ago a report was heard, in seconds.
	AgeS float64 `json:"age_s"`
}

// Here is the Edge of a station on our own side.
const Here = "here"

// Station is a hardware address on a LAN behind an edge.
type Station struct {
	// MAC is the station's hardware address.
	MAC string `json:"mac"`
	// VLAN is the VLAN identifier of its frames, 0 for untagged ones.
	VLAN uint16 `json:"vlan"`
	// Edge is the name of the edge that the station is behind, its identity's short
	// form if it has none, or Here.
	Edge string `json:"edge"`
	// ID is the short form of the edge's identity, empty for Here.
	ID string `json:"id,omitempty"`
	// AgeS is how long ago a frame of the station was noted, in seconds. One that goes
	// on sending is noted once a second.
	AgeS float64 `json:"age_s"`
	// How is how it is known where the station is: "heard", "announced" by an edge that
	// took over its segment, or "asked" of an edge.
	How string `json:"how"`
	// Moves is how often the station came to another edge.
	Moves int `json:"moves"`
}

// FDBTotals counts what a forwarding database has done since the start.
type FDBTotals struct {
	// Entries are the stations behind other edges, of Size that are possible.
	Entries int `json:"entries"`
	Size    int `json:"size"`
	// Behind is how many may be behind one edge.
	Behind int `json:"behind"`
	// Moves are stations that came to another edge.
	Moves uint64 `json:"moves"`
	// Refused are frames whose station was not learned, because of a bound.
	Refused uint64 `json:"refused"`
	// Unknown are frames that were flooded because nobody knew their destination.
	Unknown uint64 `json:"unknown"`
	// Asked are questions to edges about their stations, Unasked claims that were
	// ignored because too many were made.
	Asked   uint64 `json:"asked"`
	Unasked uint64 `json:"unasked"`
	// Contested are claims on stations that were alive elsewhere, Damped stations that
	// moved too often, and Ignored frames that changed nothing because of either.
	Contested uint64 `json:"contested"`
	Damped    uint64 `json:"damped"`
	Ignored   uint64 `json:"ignored"`
	// Lost are stations that their edge had lost.
	Lost uint64 `json:"lost"`
	// Addresses is what was done about IP addresses; absent with --transparent.
	Addresses *AddressTotals `json:"addresses,omitempty"`
}

// AddressTotals counts what an edge has done about ARP requests and IPv6 neighbour
// solicitations of our own side since the start, instead of sending them to everybody.
type AddressTotals struct {
	// Known are the addresses of stations behind other edges, of Size that are possible.
	Known int `json:"known"`
	Size  int `json:"size"`
	// Refused were not learned, because of a bound.
	Refused uint64 `json:"refused"`
	// Answered are questions that were answered here, Forwarded those that only the edge of
	// the address's owner heard, and Local those whose owner is on our own side. Silent are
	// owners that did not answer.
	Answered  uint64 `json:"answered"`
	Forwarded uint64 `json:"forwarded"`
	Local     uint64 `json:"local"`
	Silent    uint64 `json:"silent"`
	// Contested are claims on addresses that another station had.
	Contested uint64 `json:"contested"`
}
