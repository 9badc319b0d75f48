package control

// Path says how frames to a peer travel.
type Path string

const (
	// PathDirect is UDP straight to the peer.
	PathDirect Path = "direct"
	// PathRelay leads through a supernode, by UDP or a TCP stream.
	PathRelay Path = "relay"
	// PathNone means that the peer is known and cannot be reached now.
	PathNone Path = "none"
)

// PathStatus is the path by which a peer is reached, or was when it answered.
type PathStatus struct {
	// Path says how frames travel.
	Path Path `json:"path"`
	// Kind says more of the path: where the peer's address is known from, as
	// package address names the kinds of candidates, or how the supernode is reached,
	// KindUDP or KindTLS. It is empty without a path, and while it is unknown.
	Kind string `json:"kind,omitempty"`
	// Via is the supernode that relays, as typed, or empty.
	Via string `json:"via,omitempty"`
	// Endpoint is the peer's address and port on a direct path, or empty.
	Endpoint string `json:"endpoint"`
	// RTTms is the last measured round trip in milliseconds on the path, or nil
	// (null) before the first one.
	RTTms *float64 `json:"rtt_ms"`
	// Reason says in words why the path is not direct, why there is none, or what is wrong
	// with a direct one, or is empty. In the list of peers it ends with what the search for a
	// direct path did not do although the peer or a supernode asked for it, counted by reason
	// (docs/NAT.md).
	Reason string `json:"reason,omitempty"`
}

// Peer is one other edge of the community, as GET /api/v1/peers lists it.
type Peer struct {
	// Name is the name that the peer gave itself, for display only: nothing
	// vouches for it. It is empty while unknown.
	Name string `json:"name"`
	// ID is the short form of the peer's identity, "9f3a-71c2-e0b4".
	ID string `json:"id"`
	// MAC is the peer's hardware address.
	MAC string `json:"mac"`
	// IPs are the peer's overlay addresses without prefix length.
	IPs []string `json:"ips"`
	// PathStatus is how frames to the peer travel now.
	PathStatus
	// SinceS is for how long the path is what it is, in seconds, nil without one.
	SinceS *float64 `json:"since_s,omitempty"`
	// Loss is the share, 0 to 1, of the last 20 pings on the path in use that had
	// no answer, or nil (null) before the first one.
	Loss *float64 `json:"loss"`
	// MTU is the largest IP packet, in bytes, that the path in use is known or
	// assumed to carry; 0 without a path. Longer frames go in pieces.
	MTU int `json:"mtu,omitempty"`
	// Payload is the longest payload of a frame, an IP packet, in bytes, that goes
	// to the peer in one packet; 0 without a path.
	Payload int `json:"payload,omitempty"`
	// RxBytes and TxBytes count bytes of frames from and to the peer.
	RxBytes uint64 `json:"rx_bytes"`
	TxBytes uint64 `json:"tx_bytes"`
	// LastSeenS is the time since the last packet from the peer that
	// authenticated, in seconds, or nil (null) when there was none.
	LastSeenS *float64 `json:"last_seen_s"`
	// Hosts is the number of hardware addresses learned behind the peer.
	Hosts int `json:"hosts,omitempty"`
	// Link is the link with the peer, nil without one.
	Link *Link `json:"link,omitempty"`
	// Ethernet is what the peer is on the community's Ethernet, absent where there is
	// nothing to say.
	Ethernet PeerEthernet `json:"ethernet,omitzero"`
	// Handle is the peer's relay handle, or zero while unknown.
	Handle uint32 `json:"handle,omitempty"`
}

// PeerEthernet is what a peer is on the community's Ethernet, and does there.
type PeerEthernet struct {
	// Role is RoleHub or RoleLeaf in a community with hubs, or empty in any other.
	Role string `json:"role,omitempty"`
	// Refused counts frames of the peer that went no further because it may not send
	// them, or not as many (storm control).
	Refused uint64 `json:"refused,omitempty"`
}

// Link is a line to one peer beside the community's Ethernet.
type Link struct {
	// Device is the name of its device.
	Device string `json:"device"`
	// Carrier is whether the device has a carrier: frames reach the peer.
	Carrier bool `json:"carrier"`
	// Cost is what the path costs a routing protocol, 96 for a good wire; 0 without a path.
	Cost int `json:"cost"`
}
