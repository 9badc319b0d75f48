package supernode

import (
	"hedgerow/crypto"
	"hedgerow/handshake"
	"hedgerow/protocol"
)

// serverKeys are the keys that this supernode answers by. The mutex of the tables guards
// them.
type serverKeys struct {
	own *serverKey
}

// serverKey is a key of this supernode with what follows from it.
type serverKey struct {
	identity  *crypto.Identity
	mask      *crypto.Mask         // of what travels between it and edges that know us by it
	responder *handshake.Responder // of their INITs
}

// all are the keys, our own first.
func (k *serverKeys) all() []*serverKey { return []*serverKey{k.own} }

// show unmasks a datagram and returns the key that it is for.
func (k *serverKeys) show(sc *crypto.Scratch, pkt []byte) (h protocol.Header, by *serverKey, err error) {
	k.own.mask.Show(sc, pkt)
	h, err = protocol.ParseHeader(pkt)
	return h, k.own, err
}

// isHop reports whether a header is of a packet between an edge and a supernode.
func isHop(h protocol.Header) bool { return h.XF == protocol.XFHop && h.KI == protocol.KINone }
