package edge

import "net/netip"

// claims are the overlay addresses of a peer, by the word of supernodes and by its
// identity.
type claims struct {
	leases [maxSupernodes]netip.Prefix // by supernode; not valid: none is known
	ula    netip.Addr                  // that follows from the identity
	of     [32]byte                    // the identity that ula is of
	hint   hint                        // what supernodes say of it
	held   []netip.Addr                // those that nobody else has, in no order
}

// hint is whether a peer is a bridge, by the word of supernodes, for as long as it has
// not said so itself.
type hint uint8

const (
	hintNone hint = iota
	hintPlain
	hintBridge
)
