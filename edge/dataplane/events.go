package dataplane

import (
	"fmt"
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/edge/bridge"
	"hedgerow/protocol"
)

// Origin says where a packet came from.
type Origin struct {
	// Addr is the underlay address that the datagram came from. It is not valid
	// for what came inside a RELAY packet.
	Addr netip.AddrPort
	// Local is the address of this host that the datagram was sent to, so that the
	// answer comes from there. It is not valid where the system does not tell.
	Local netip.Addr
	// Supernode sent the packet or relayed it; nil: neither.
	Supernode *Supernode
	// Handle is by what Supernode knows the sender of a packet that it relayed.
	Handle uint32
}

// Route returns the route back to where a packet came from.
func (o Origin) Route() Route {
	if o.Supernode == nil {
		return Route{Direct: o.Addr, Local: o.Local}
	}
	return Route{Supernode: o.Supernode, Handle: o.Handle}
}

// group returns the origin as the receiver of GROUP packets tells them apart.
func (o Origin) group() crypto.GroupOrigin {
	if o.Supernode == nil {
		return crypto.GroupOrigin{Addr: o.Addr}
	}
	return crypto.GroupOrigin{Supernode: o.Supernode.id, Handle: o.Handle}
}

// String returns the origin for a log line.
func (o Origin) String() string {
	switch {
	case o.Supernode == nil:
		return o.Addr.String()
	case o.Handle == 0:
		return fmt.Sprintf("supernode %d at %v", o.Supernode.id, o.Addr)
	}
	return fmt.Sprintf("handle %08x at supernode %d", o.Handle, o.Supernode.id)
}

// Event is one thing that the control loop has to know of. Each kind is a type of
// its own, below. The bytes that an event carries are a copy, owned by whoever
// receives it.
type Event interface{ event() }

// PairMessages are the control messages of a peer's packet. A queue posts them
// when the packet has authenticated; the control loop acts on each of them, and
// treats the packet as Confirmed, too.
type PairMessages struct {
	Peer     *Peer
	Session  *crypto.Session // that the packet was opened under
	Origin   Origin
	Messages []byte // TLVs
	InPieces bool   // the packet came in pieces, so an answer of its length has to go so
}

// Confirmed is the first packet of a session that was opened. A queue posts it
// once for each session; the control loop adopts the session if it answered the
// handshake and waits for this.
type Confirmed struct {
	Peer    *Peer
	Session *crypto.Session
	Origin  Origin
}

// Roamed is a packet of a peer that authenticated and came from an address which
// is not that of the peer's direct path. A queue posts it 20 times a second at
// most for each peer; for the control loop the address is a candidate, no more,
// until it has answered a ping.
type Roamed struct {
	Peer   *Peer
	Origin Origin
}

// Needed is a unicast frame to a peer or from one. A queue posts it every two
// seconds while there are any; the control loop looks after the peer's session and
// paths.
type Needed struct{ Peer *Peer }

// MACWanted is a frame for a hardware address that nobody is known to have. A
// queue posts it ten times a second at most; the control loop asks the supernodes.
type MACWanted struct{ MAC protocol.MAC }

// Staged is a frame that cannot be sent to its peer yet, whole and with its
// checksums. A queue posts it; the control loop keeps it until there is a session
// and a path (Sender.SendStaged).
type Staged struct {
	Peer  *Peer
	Frame []byte
}

// Unvouched is an opened GROUP packet for whose salt nobody has vouched. A queue
// posts it; the control loop finds out whose it is and whether it counts
// (Plane.Deliver).
type Unvouched struct {
	Origin Origin
	Inner  []byte
	XF, KI uint8                  // with Salt, what has to be vouched for
	Salt   [protocol.SaltLen]byte // of the packet
	Stale  bool                   // the salt fails the time rule
	CTR    uint64                 // the packet's counter
	Run    uint64                 // names the salt among the runs of fragments
}

// HopPacket is a DATA packet of a supernode, unmasked and still sealed. A queue
// posts it; the control loop opens it and acts on the messages in it.
type HopPacket struct {
	Origin Origin
	Packet []byte
}

// HandshakeAnswer is a RESP, COOKIE, NOTICE, RESET or WELCOME, unmasked, by
// anybody. A queue posts it; the control loop hands it to the handshake that waits
// for it.
type HandshakeAnswer struct {
	Origin Origin
	Packet []byte
}

// InitReceived is an INIT, unmasked, by anybody. A queue posts it; the control
// loop checks it, cheapest check first, and answers.
type InitReceived struct {
	Origin Origin
	Packet []byte
}

// STUNReceived is a STUN message by anybody. A queue posts it; the control loop
// checks whether it is the answer of a server that it asked, and else refuses it.
type STUNReceived struct {
	Addr   netip.AddrPort
	Packet []byte
}

// Forwardable is a packet for an edge that is reached through an introducer. The
// sender behind the side address that stands for that edge posts it; the control
// loop sends it to the introducer.
type Forwardable struct {
	Side   netip.AddrPort
	Packet []byte
}

// EpochLearned is the key index of an epoch that a packet authenticated under and
// that is not the one we send under. A queue posts it once for each index; the
// control loop moves to that epoch if it is a newer one.
type EpochLearned struct{ KI uint8 }

// Recursion is a datagram of our own that came back out of the device: this host's route
// to that address leads into the overlay. If it is not Own, it is perhaps our own: it came
// from the port of one of our sockets, and from a hardware address that is not known to
// be this host's. A queue posts either ten times a second at most; the control loop looks
// for the addresses of this host again, and acts on what is our own.
type Recursion struct {
	To  netip.AddrPort
	Own bool
}

// ProbeHeard is a probe of another member that came from the device, as a frame whose
// signature is not verified yet. A queue posts it; the control loop has it verified and
// elects the forwarder of the segment.
type ProbeHeard struct{ Frame []byte }

// TopologyChanged is a spanning tree's message that hosts may be elsewhere now. From is
// the peer that it came from, nil: our own segment. A queue posts it once a second at
// most; the control loop forgets where hosts are.
type TopologyChanged struct{ From *Peer }

// SendRefused is a datagram that the socket refused. A queue posts it; the control
// loop doubts the direct paths to that address, or their size.
type SendRefused struct {
	Addr   netip.AddrPort
	TooBig bool // our own network does not carry datagrams of that size
	// Forbidden: this host's own firewall lets it not out, or has no room for another
	// connection.
	Forbidden bool
}

// Violation are frames that went no further because their sender may not send them, or
// not as many. A queue posts it every five seconds while there are any, for each peer
// and for each host that floods too much; the control loop tells the user.
type Violation struct {
	Peer   *Peer // nil: hosts behind our own device
	Reason DropReason
	Count  uint64        // frames since the last time
	Host   protocol.MAC  // the source; zero: hosts of the edge together
	IP     netip.Addr    // what was claimed, for DropAddressTheft
	Storm  bridge.Excess // for DropStorm and DropStormSent
	Group  bool          // of DropIsolated: any member may have made them in the peer's name
}

// StationsDue says that there is something to do about stations in the forwarding
// database. A queue posts it once, until the control loop calls Plane.StationsDue.
type StationsDue struct{}

// StationSought is a station that is to be asked for on our own LAN, by its address: frames
// for it go on being flooded. A queue posts it once a second at most for each station.
type StationSought struct {
	bridge.Key
	Addr netip.Addr
}

// GroupsDue says that hosts behind our device are to be asked for their memberships. A
// queue posts it; the control loop calls bridge.Groups.Due.
type GroupsDue struct{}

func (PairMessages) event()    {}
func (Confirmed) event()       {}
func (Roamed) event()          {}
func (Needed) event()          {}
func (MACWanted) event()       {}
func (Staged) event()          {}
func (Unvouched) event()       {}
func (HopPacket) event()       {}
func (HandshakeAnswer) event() {}
func (InitReceived) event()    {}
func (STUNReceived) event()    {}
func (Forwardable) event()     {}
func (EpochLearned) event()    {}
func (SendRefused) event()     {}
func (Recursion) event()       {}
func (Violation) event()       {}
func (StationsDue) event()     {}
func (StationSought) event()   {}
func (GroupsDue) event()       {}
func (ProbeHeard) event()      {}
func (TopologyChanged) event() {}
