package supernode

import (
	"math/rand/v2"

	"hedgerow/crypto"
	"hedgerow/protocol"
)

// cover hides what a supernode with an obfuscation key would be recognised by: STUN by its
// beginning, and handshakes by their lengths. nil hides nothing.
type cover struct{ mask *crypto.Mask } // of HELLO

// newCover returns that of an obfuscation key; empty: nil.
func newCover(obfs []byte) *cover {
	if len(obfs) == 0 {
		return nil
	}
	return &cover{crypto.HelloMask(obfs)}
}

// whole returns the packet of a handshake without random bytes behind it, and how many bytes
// its answer may have: those that came, or 0 if it was not made longer.
func (c *cover) whole(pkt []byte, t protocol.Type) (whole []byte, most int) {
	if n := t.Len(); c != nil && n > 0 && len(pkt) >= n+crypto.CoverLen {
		return pkt[:n], len(pkt)
	}
	return pkt, 0
}

// hide hides a STUN answer to a datagram of size bytes. It has a random length, and is not
// longer than that datagram, as its answer without a cover is not.
func (c *cover) hide(sc *crypto.Scratch, answer []byte, size int) []byte {
	least := len(answer) + crypto.CoverLen
	return c.mask.Cover(sc, answer, least+rand.IntN(max(0, min(size, least+crypto.CoverSpread)-least)+1))
}
