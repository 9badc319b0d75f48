package dataplane

import (
	"net/netip"
	"sync/atomic"

	"hedgerow/crypto"
)

// Supernode is a supernode as the queues see it.
type Supernode struct {
	id  int
	hop atomic.Pointer[HopRoute]
}

// NewSupernode returns a supernode that cannot be reached yet. id is its place in
// the configuration.
func NewSupernode(id int) *Supernode { return &Supernode{id: id} }

// ID returns the supernode's place in the configuration.
func (n *Supernode) ID() int { return n.id }

// SetRoute changes how the supernode is reached, from the next packet on.
func (n *Supernode) SetRoute(r HopRoute) { n.hop.Store(&r) }

// ClearRoute ends sending to the supernode until there is another route.
func (n *Supernode) ClearRoute() { n.hop.Store(nil) }

// Reachable reports whether there is a hop route.
func (n *Supernode) Reachable() bool { return n.hop.Load() != nil }

// HopRoute is how to reach a supernode now. It is a value: whoever has one may
// change it, and nobody else sees that.
type HopRoute struct {
	Session   *crypto.HopSession
	Addr      netip.AddrPort
	Mask      *crypto.Mask // of the headers of packets to it
	DirectSet bool         // the supernode knows our DIRECT set
	ECN       bool         // the supernode passes marks of congestion on
}

// Source is what is known of an underlay address that a supernode or a TURN
// server has. It is a value.
type Source struct {
	// TURN takes the datagrams of a TURN server; nothing else is set then.
	TURN TURNHandler
	// Supernode has the address.
	Supernode *Supernode
	// Mask is that of the headers of its packets. Second is tried on those that make no
	// sense under Mask, while the supernode has two keys; nil: it has one.
	Mask, Second *crypto.Mask
	// Welcome is the mask of a WELCOME, while one may come; else nil.
	Welcome *crypto.Mask
}

// TURNHandler takes the datagrams of a TURN server. It keeps nothing of them, and
// is called from any queue's goroutine.
type TURNHandler interface {
	Handle(from netip.AddrPort, pkt []byte)
}
