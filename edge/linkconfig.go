package edge

import (
	"bytes"
	"fmt"

	"hedgerow/crypto"
	"hedgerow/edge/control"
	"hedgerow/edge/dataplane"
)

// maxLinks bounds how many links an edge has. Each has a device and a goroutine.
const maxLinks = 256

// Links are the lines to single peers beside the community's Ethernet.
type Links struct {
	Named []Link // to the peers that the user named
	// Open opens the device for a peer that was not named and has proved who it is; nil:
	// such a peer has none. The number is the peer's own, from 0 on, and the same at every
	// start. Open may take its time.
	Open func(id [32]byte, number int) (Link, error)
	// Changed is told when the carrier, the path or the cost of a link has changed enough
	// to tell routing protocols; nil: nobody is. It is called from the control loop, and
	// must not block.
	Changed func(control.Peer)
}

// Link is a device for one peer alone.
type Link struct {
	Peer   []byte // how the peer's identity begins: crypto.LinkPrefixLen bytes or more
	Name   string // of the device
	Device LinkDevice
	Frames dataplane.FrameQueue
	Waiter dataplane.Waiter // for Frames alone
}

// LinkDevice is the TAP device of a link as an edge uses it, but for its queue.
type LinkDevice interface {
	// SetCarrier plugs the device in or out: errors.ErrUnsupported where that cannot be done.
	SetCarrier(up bool) error
	Close() error
}

// validate returns what is wrong with the named links.
func (c *Links) validate(own *crypto.Identity) (faults []error) {
	if len(c.Named) > maxLinks {
		faults = append(faults, fmt.Errorf("%d links given, %d are possible", len(c.Named), maxLinks))
	}
	for i, k := range c.Named {
		switch {
		case len(k.Peer) < crypto.LinkPrefixLen || len(k.Peer) > 32 || k.Device == nil || k.Frames == nil || k.Waiter == nil:
			faults = append(faults, fmt.Errorf("link %d is not complete", i))
		case own != nil && bytes.HasPrefix(own.ID, k.Peer):
			faults = append(faults, fmt.Errorf("the link %s is with this edge itself", k.Name))
		}
	}
	return faults
}
