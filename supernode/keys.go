package supernode

import (
	"sync/atomic"

	"hedgerow/crypto"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// serverKeys are the keys that this supernode answers by: its own and, from a rotation on
// until that is ended, the one before. The mutex of the tables guards them.
type serverKeys struct {
	own    *serverKey
	former *serverKey // nil: there is none
}

// serverKey is a key of this supernode with what follows from it.
type serverKey struct {
	identity  *crypto.Identity
	mask      *crypto.Mask         // of what travels between it and edges that know us by it
	responder *handshake.Responder // of their INITs
	retired   bool                 // nothing is answered by it any more; the mutex of the tables guards it

	successor atomic.Pointer[successor] // nil: it is our own
}

// successor is the key that takes the place of another.
type successor struct {
	identity *crypto.Identity
	rotation crypto.Rotation
}

// gone reports whether nothing is answered by the key any more.
func (k *serverKey) gone() bool { return k != nil && k.retired }

// all are the keys, our own first.
func (k *serverKeys) all() []*serverKey {
	if k.former == nil {
		return []*serverKey{k.own}
	}
	return []*serverKey{k.own, k.former}
}

// show unmasks a datagram by our own key or, while there is a former one and the datagram
// makes no sense, by that, and returns by which. There are two tries at most, and one where
// there is one key.
func (k *serverKeys) show(sc *crypto.Scratch, pkt []byte) (by *serverKey) {
	k.own.mask.Show(sc, pkt)
	if k.former == nil || isHopPacket(pkt) {
		return k.own
	}
	k.own.mask.Hide(sc, pkt)
	k.former.mask.Show(sc, pkt)
	if isHopPacket(pkt) {
		return k.former
	}
	return k.own
}

// hide undoes show for a datagram that has made no sense.
func (k *serverKeys) hide(sc *crypto.Scratch, pkt []byte) {
	last := k.own
	if k.former != nil {
		last = k.former
	}
	last.mask.Hide(sc, pkt)
}

// isHopPacket reports whether an unmasked datagram has the header of a packet between an
// edge and a supernode.
func isHopPacket(pkt []byte) bool {
	h, err := protocol.ParseHeader(pkt)
	return err == nil && h.OfHop()
}

// rotate makes another key our own, and the one before the former.
func (k *serverKeys) rotate(to *serverKey, serial uint64) {
	r := crypto.Rotation{Old: k.own.identity.Static, New: to.identity.Static, Serial: serial}
	k.former, k.own = k.own, to
	k.former.successor.Store(&successor{to.identity, r})
}

// retire ends the use of the former key.
func (k *serverKeys) retire() {
	k.former.retired, k.former = true, nil
}

// rotation returns what an edge with a static key, which knows us by this key, is told of
// the key that takes its place; nil: none does. It costs an agreement.
func (k *serverKey) rotation(edge [32]byte) *protocol.Rotate {
	next := k.successor.Load()
	if next == nil {
		return nil
	}
	proof, err := next.rotation.Prove(next.identity, edge, edge)
	if err != nil {
		return nil // the handshake has used the edge's key, so this cannot be
	}
	return &protocol.Rotate{Serial: next.rotation.Serial, Key: next.identity.Static, Proof: proof}
}
