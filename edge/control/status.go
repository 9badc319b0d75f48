package control

// Status is the state of one edge, as GET /api/v1/status returns it.
type Status struct {
	// Community is the name of the community as the operator typed it.
	Community string `json:"community"`
	// Version is the version of the edge program that answers.
	Version string `json:"version"`
	// ID is the short form of the edge's identity, "9f3a-71c2-e0b4".
	ID string `json:"id,omitempty"`
	// Device is the name of the TAP device, "edge0".
	Device string `json:"device"`
	// MAC is the hardware address of the device, "02:5c:1e:9a:40:11".
	MAC string `json:"mac"`
	// MTU is the largest payload of a frame on the device, in bytes.
	MTU int `json:"mtu"`
	// Prefixes are the device's addresses with their prefix lengths,
	// "10.64.0.7/24".
	Prefixes []string `json:"prefixes"`
	// UptimeS is the time since the edge started, in seconds.
	UptimeS float64 `json:"uptime_s"`
	// Supernodes lists the supernodes in the order of the command line.
	Supernodes []SupernodeStatus `json:"supernodes"`
	// KeyIndex is the index of the epoch that is used for sending, or 255 when
	// the schedule has ended and nothing may be sent.
	KeyIndex uint8 `json:"key_index"`
	// Peers counts the other edges.
	Peers PeerCount `json:"peers"`
	// Traffic counts the frames between the TAP device and the peers.
	Traffic Traffic `json:"traffic"`
	// Drops counts dropped frames and datagrams by reason, since the start.
	Drops map[string]uint64 `json:"drops"`
	// Mapping says how the nearest NAT maps this edge, in the words of RFC
	// 4787, or is empty while that is unknown. Behind it is the prefix of the NAT64 by
	// which a host without IPv4 reaches IPv4 addresses, "NAT64 64:ff9b::/96".
	Mapping string `json:"mapping,omitempty"`
	// Ethernet is what the edge is on the community's Ethernet, absent where it is nothing
	// in particular.
	Ethernet EthernetStatus `json:"ethernet,omitzero"`
	// Notes are sentences that an operator should read, most urgent first.
	Notes []string `json:"notes"`
}

// EthernetStatus is what an edge is on the community's Ethernet.
type EthernetStatus struct {
	// Role is RoleHub or RoleLeaf in a community with hubs, or empty in any other.
	Role string `json:"role,omitempty"`
	// Bridge is the bridge of this host that the device is a port of, or empty.
	Bridge string `json:"bridge,omitempty"`
	// Segment is what the edge does on the LAN behind its device; nil: it is no bridge.
	Segment *SegmentStatus `json:"segment,omitempty"`
}

// Roles of members in a community with hubs.
const (
	RoleHub  = "hub"  // exchanges frames with everybody
	RoleLeaf = "leaf" // exchanges frames with hubs alone
)

// SegmentStatus is what a bridge does on the LAN behind its device, its segment.
type SegmentStatus struct {
	// State is "listening", "forwarding", "standby" while another bridge forwards,
	// "claiming" while a worse one is told to leave that to us, or "away" while the
	// device is on no segment.
	State string `json:"state"`
	// SinceS is how long it has been that, in seconds.
	SinceS float64 `json:"since_s"`
	// Priority is the bridge's, the lowest on a segment forwards.
	Priority int `json:"priority"`
	// Forwarder is the bridge that forwards on the segment instead, or empty.
	Forwarder string `json:"forwarder,omitempty"`
	// Bridges are the other bridges on the segment, the best first.
	Bridges []string `json:"bridges"`
}

// SupernodeStatus is one supernode as an edge sees it.
type SupernodeStatus struct {
	// Name is the supernode as typed, "vps.example:7654".
	Name string `json:"name"`
	// Addr is the resolved address and port in use, or empty before the name
	// was resolved.
	Addr string `json:"addr,omitempty"`
	// Stream says how the supernode is reached where UDP is blocked, such as
	// "TLS to vps.example:443"; empty: by UDP.
	Stream string `json:"stream,omitempty"`
	// State is one of the State constants.
	State SupernodeState `json:"state"`
	// Role is one of the Role constants below where the edge is registered with this and
	// with another one, or empty.
	Role SupernodeRole `json:"role,omitempty"`
	// RTTms is the last measured round trip in milliseconds, or nil before
	// the first one.
	RTTms *float64 `json:"rtt_ms,omitempty"`
	// KeepaliveS is how often a packet has to pass so that the NATs here keep the mapping,
	// in seconds, where that was measured and is more often than every 20 s; else 0.
	KeepaliveS float64 `json:"keepalive_s,omitempty"`
	// ID is the supernode's public key, once it is known.
	ID string `json:"id,omitempty"`
	// Obfuscated says that the edge has an obfuscation key for the supernode.
	Obfuscated bool `json:"obfuscated,omitempty"`
}

// SupernodeState says how far an edge got with a supernode.
type SupernodeState string

const (
	// StateResolving means that the name has no address yet.
	StateResolving SupernodeState = "resolving"
	// StateConnecting means that an address is being tried.
	StateConnecting SupernodeState = "connecting"
	// StateRegistered means that the supernode accepted the registration and
	// answered within its keepalive time.
	StateRegistered SupernodeState = "registered"
	// StateRefused means that the supernode answered and said no.
	StateRefused SupernodeState = "refused"
	// StateOlder means that the supernode answers, and speaks the protocol as it was
	// before version 1 was final: it has to be updated.
	StateOlder SupernodeState = "older"
	// StateLost means that a registered supernode has stopped answering.
	StateLost SupernodeState = "lost"
)

// SupernodeRole says what a supernode does for an edge that is registered with several.
type SupernodeRole string

const (
	// RoleServing means that frames to peers without a direct path go through it, as far
	// as it knows the peers.
	RoleServing SupernodeRole = "serving"
	// RoleLate means that it served, and that an answer of it is overdue: frames go through
	// another one as well until it answers or is lost.
	RoleLate SupernodeRole = "late"
	// RoleStandby means that frames go through it when the one that serves is late.
	RoleStandby SupernodeRole = "standby"
)

// PeerCount counts an edge's peers.
type PeerCount struct {
	// Seen is the number of peers known at this moment.
	Seen int `json:"seen"`
	// Direct is the number of them reached without a supernode.
	Direct int `json:"direct"`
	// Relayed is the number of them reached through a supernode.
	Relayed int `json:"relayed"`
}

// Traffic counts frames and bytes of frames since the start. In is from the
// peers to the TAP device, Out is from the TAP device to the peers. A rate is
// the difference of two documents over the difference of their UptimeS.
type Traffic struct {
	// InFrames and InBytes count what was written to the TAP device.
	InFrames uint64 `json:"in_frames"`
	InBytes  uint64 `json:"in_bytes"`
	// OutFrames and OutBytes count what was read from the TAP device and sent.
	OutFrames uint64 `json:"out_frames"`
	OutBytes  uint64 `json:"out_bytes"`
}
