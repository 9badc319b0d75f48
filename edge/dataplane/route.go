package dataplane

import (
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// Route is how frames to a peer travel. It is a value: whoever has one may change
// it, and nobody else sees that; Peer.SetRoute takes a copy.
type Route struct {
	Session   *crypto.Session // nil: no session yet, frames go as GROUP
	Direct    netip.AddrPort  // the address of the direct path; not valid: there is none
	Local     netip.Addr      // our address that Direct knows us by; not valid: whichever the system chooses
	Supernode *Supernode      // which relays to the peer; nil: none
	Handle    uint32          // by what Supernode knows the peer
	Spare     *Supernode      // gets a copy of what Supernode gets, while that is in doubt; nil: none does
	SpareAs   uint32          // by what Spare knows the peer
	Dual      bool            // send on both paths
	Partial   bool            // the peer takes partial checksums
	ECN       bool            // the peer sees marks of congestion on packets
	Alone     bool            // the direct path loses trains: packets leave by it one by one
	Limit     int             // largest datagram on the direct path, bytes
	// RelayLimit is the largest datagram on the relayed path in bytes, 0 for
	// MaxDatagramRelayed.
	RelayLimit int
}

// OnlyDirect reports whether frames go to the peer directly alone: no supernode gets a copy.
func (r *Route) OnlyDirect() bool { return r.Direct.IsValid() && !r.Dual }

// NextHop is where frames go, whatever else of a route changes: to an address or
// to a supernode. The zero value is nowhere.
type NextHop struct {
	Direct    netip.AddrPort
	Supernode *Supernode
}

// NextHop returns where frames of a route go, nowhere while there is no session
// and no direct path. With two paths in use it is the direct one.
func (r *Route) NextHop() NextHop {
	switch {
	case r.Direct.IsValid():
		return NextHop{Direct: r.Direct}
	case r.Session != nil:
		return NextHop{Supernode: r.Supernode}
	}
	return NextHop{}
}

// Payload returns the longest payload of a frame in bytes that the route carries
// in one packet: the Ethernet header is left out where the other end knows it.
func (r *Route) Payload() int {
	n := r.MaxInner() - 1
	if r.Partial {
		n -= 2 // where a checksum is left unfinished
	}
	return n
}

// MaxPacket returns the largest packet in bytes, tag included, that the route
// carries on every path in use.
func (r *Route) MaxPacket() int {
	if r.OnlyDirect() {
		return r.Limit
	}
	return r.LeastPacket()
}

// MaxInner returns the longest inner in bytes that goes in one packet of the size
// of MaxPacket.
func (r *Route) MaxInner() int { return r.MaxPacket() - protocol.HeaderLen - protocol.TagLen }

// LeastInner returns the longest inner in bytes that goes in one packet of the
// size of LeastPacket.
func (r *Route) LeastInner() int { return r.LeastPacket() - protocol.HeaderLen - protocol.TagLen }

// LeastPacket is MaxPacket of every path that there is, in use or not: a direct
// one may fail at any time.
func (r *Route) LeastPacket() int {
	relayed := r.RelayLimit
	if relayed == 0 {
		relayed = MaxDatagramRelayed
	}
	relayed -= protocol.RelayOverhead
	if r.Direct.IsValid() {
		return min(r.Limit, relayed)
	}
	return relayed
}
