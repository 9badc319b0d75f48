package dataplane

import (
	"net/netip"

	"hedgerow/crypto"
	"hedgerow/edge/dataplane/pmap"
	"hedgerow/protocol"
)

// Table is the state that the queues read. It never changes; a Draft becomes the
// next one. Maps whose size is that of the community are persistent. The others
// have a few entries for each configured server, and a change copies them.
type Table struct {
	sessions   pmap.Map[uint32, *Session]    // by our session index
	hops       map[uint32]*HopSession        // by our hop session index
	sources    map[netip.AddrPort]*Source    // supernodes and TURN servers, by underlay address
	macs       pmap.Map[protocol.MAC, *Peer] // bound hardware addresses: everybody whom a flood is for
	statics    pmap.Map[[32]byte, *Peer]     // by X25519 static key
	holders    pmap.Map[[16]byte, *Peer]     // whose an overlay address is
	own        []netip.Prefix                // the addresses of our device
	supernodes []*Supernode                  // those that have us registered, best first
	group      *crypto.GroupSender           // nil: no epoch to send under
	epochs     *[256]*crypto.Epoch           // those received now, by key index
	list       bool                          // members = list
	isolated   bool                          // the community has hubs
	closed     bool                          // either of the two: frames are exchanged with some alone
}

// apart returns why no frames are exchanged with a peer of a closed community.
func (t *Table) apart() DropReason {
	if t.isolated {
		return DropIsolated
	}
	return DropUnlisted
}

// groupUse is with how many sessions frames to groups still count as a use of their
// sender's. In a large community they come from everybody all the time, and each edge
// would keep a session and a path for each other.
const groupUse = 256

// groupIsUse reports whether a frame to a group counts as a use of the session with its
// sender: OSPF, router advertisements or mDNS alone then keep it and its path. No
// session is made for them.
func (t *Table) groupIsUse(p *Peer) bool {
	return (t.sessions.Len() <= groupUse || p.Bridge()) && p.route.Load().Session != nil
}

// canReceive returns the epoch of a key index if packets under it are opened
// now. The control loop publishes a new table at every change of that.
func (t *Table) canReceive(ki uint8) (crypto.Epoch, bool) {
	e := t.epochs[ki]
	if e == nil {
		return crypto.Epoch{}, false
	}
	return *e, true
}
