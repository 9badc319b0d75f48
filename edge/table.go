package edge

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// table is the state that the data goroutines read. It is immutable once
// published; the control loop replaces it whole. What changes more often than
// the set of peers (routes, hop sessions) hangs behind atomics of its own.
type table struct {
	sessions map[uint32]*pairEntry      // by our session index
	hops     map[uint32]*hopEntry       // by our hop session index
	sources  map[netip.AddrPort]*source // supernodes, by underlay address
	macs     map[protocol.MAC]*peerView // bound hardware addresses of edges
	statics  map[[32]byte]*peerView     // by X25519 static key
	peers    []*peerView                // every bound peer, for floods
	links    []*linkView                // registered supernodes, best first
	group    *crypto.GroupSender        // nil: no epoch to send under
	epochs   [256]*crypto.Epoch         // those received now, by key index
	list     bool                       // members = list
}

// canReceive returns the epoch of a key index if packets under it are opened
// now. The control loop publishes a new table at every change of that.
func (t *table) canReceive(ki uint8) (crypto.Epoch, bool) {
	e := t.epochs[ki]
	if e == nil {
		return crypto.Epoch{}, false
	}
	return *e, true
}

// pairEntry is one pair session as the data goroutines see it.
type pairEntry struct {
	session   *crypto.Session
	peer      *peerView
	partial   bool        // the other end takes partial checksums
	confirmed atomic.Bool // the first packet was opened and told to the control loop
}

// hopEntry is one hop session by its index.
type hopEntry struct {
	session *crypto.HopSession
	link    *linkView
}

// source is what is known of an underlay address that a supernode or a TURN
// server has.
type source struct {
	relay Relay // of a TURN server; nothing else is set then
	link  *linkView
	mask  *crypto.Mask
	hello bool // a WELCOME may come, which has a mask of its own
}

// linkView is a supernode as the data goroutines see it.
type linkView struct {
	id  int // its place in Config.Supernodes
	hop atomic.Pointer[hopRoute]
}

// hopRoute is how to reach a supernode now.
type hopRoute struct {
	session   *crypto.HopSession
	addr      netip.AddrPort
	mask      *crypto.Mask
	directSet bool // the supernode knows our DIRECT set
}

// peerView is another edge as the data goroutines see it.
type peerView struct {
	static [32]byte
	mac    protocol.MAC
	route  atomic.Pointer[route]
	count  traffic
	gone   atomic.Bool // the peer has another view, or is forgotten

	fragments fragments
}

// fragments are the pieces of a peer's frames that are in the making. Pieces of
// one frame come to several queues when the peer sends by several ways.
type fragments struct {
	mu sync.Mutex
	protocol.Reassembler
}

// totals counts the frames between the device and all peers, and what was done
// to those that are too long for a path.
type totals struct {
	rxFrames, rxBytes, txFrames, txBytes atomic.Uint64

	cut     atomic.Uint64 // frames that left in pieces
	pieces  atomic.Uint64 // that they became
	joined  atomic.Uint64 // frames that came in pieces
	clamped atomic.Uint64 // SYNs whose MSS was lowered
}

// traffic counts a peer's frames and remembers when it was last heard. Times
// are nanoseconds since the edge started.
type traffic struct {
	rxBytes, txBytes atomic.Uint64
	heard            atomic.Int64 // the last authenticated packet
	used             atomic.Int64 // the last unicast frame either way
	asked            atomic.Int64 // when the control loop was last told of a need
	roamed           atomic.Int64 // when the control loop was last told of a new address
}

// route is how frames to a peer travel now. It is immutable.
type route struct {
	session *crypto.Session // nil: no session yet, frames go as GROUP
	direct  netip.AddrPort  // valid: usable
	relay   *linkView       // nil: none
	handle  uint32          // the peer's handle at relay
	dual    bool            // send on both paths
	partial bool            // the peer takes partial checksums
	limit   int             // largest datagram on the direct path, bytes
	// relayLimit is the largest datagram on the relayed path in bytes, 0 for
	// maxDatagramRelayed.
	relayLimit int
}

// onlyDirect reports whether frames go to the peer directly and no other way.
func (r *route) onlyDirect() bool { return r.direct.IsValid() && !r.dual }

// way is how frames travel, whatever else of a route changes. The zero value is
// no way.
type way struct {
	direct netip.AddrPort
	relay  *linkView
}

func (r *route) way() way {
	switch {
	case r.direct.IsValid():
		return way{direct: r.direct}
	case r.session != nil:
		return way{relay: r.relay}
	}
	return way{}
}

// payload returns the longest payload of a frame in bytes that the route carries
// in one packet: the Ethernet header is left out where the other end knows it.
func (r *route) payload() int {
	n := r.maxInner() - 1
	if r.partial {
		n -= 2 // where a checksum is left unfinished
	}
	return n
}

// Largest datagrams that fit an underlay MTU of 1500 bytes. A relayed packet
// may leave the supernode over IPv6, whatever it came in by.
const (
	maxDatagramIPv4    = 1500 - 20 - 8
	maxDatagramIPv6    = 1500 - 40 - 8
	maxDatagramRelayed = maxDatagramIPv6
)

// maxPacket returns the largest packet in bytes, tag included, that the route
// carries on every path in use.
func (r *route) maxPacket() int {
	if r.onlyDirect() {
		return r.limit
	}
	return r.leastPacket()
}

// maxInner returns the longest inner in bytes that goes in one packet of the size
// of maxPacket, and leastInner of leastPacket.
func (r *route) maxInner() int   { return r.maxPacket() - protocol.HeaderLen - protocol.TagLen }
func (r *route) leastInner() int { return r.leastPacket() - protocol.HeaderLen - protocol.TagLen }

// leastPacket is maxPacket of every path that there is, in use or not: a direct
// one may fail at any time.
func (r *route) leastPacket() int {
	relayed := r.relayLimit
	if relayed == 0 {
		relayed = maxDatagramRelayed
	}
	relayed -= protocol.RelayOverhead
	if r.direct.IsValid() {
		return min(r.limit, relayed)
	}
	return relayed
}
