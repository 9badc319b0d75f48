package crypto

import (
	"crypto/subtle"
	"encoding/binary"

	"golang.org/x/crypto/chacha20"
)

// Sizes in bytes of the pads that a veil is cut from: the places where a veil may
// begin, and the longest packet inside a RELAY. The second pad is for floods, and lies
// behind the first.
const (
	padPlaces  = 1 << 16
	padLongest = 2048
	padLen     = padPlaces + padLongest
)

// floodFlag is in the FL of a copy of a flood.
const floodFlag = 2

// makePads makes the pads of a mask.
func (m *Mask) makePads() []byte {
	pad := make([]byte, 2*padLen)
	key := derive32(m.key[:], nil, "veil pad")
	c, err := chacha20.NewUnauthenticatedCipher(key[:], make([]byte, chacha20.NonceSize))
	if err != nil {
		panic("crypto: " + err.Error()) // a wrong length: our own bug
	}
	c.XORKeyStream(pad, pad)
	return pad
}

// Veil covers or uncovers the packet inside a RELAY from a supernode to an edge,
// hdr16 | hop tag 16 | packet, in place, so that it has no bytes in common with the
// packet that the supernode received, nor with another copy of a flood: those have a
// second veil, since there are many of each. The header must be complete. Supernodes
// call it before SealRelay, edges after OpenRelay. It protects nothing: the packet is
// sealed anyway. It changes no packet that is too short or too long for a RELAY, and a
// nil Mask changes none.
func (m *Mask) Veil(sc *Scratch, pkt []byte) {
	if m == nil || len(pkt) <= relayOverhead || len(pkt) > padLongest {
		return
	}
	pads := m.pads()
	copy(sc.in[:], pkt[:headerLen])
	m.block.Encrypt(sc.out[:], sc.in[:])
	at := int(binary.BigEndian.Uint16(sc.out[:]))
	packet := pkt[relayOverhead:]
	subtle.XORBytes(packet, packet, pads[at:at+len(packet)])
	if pkt[offFL]&floodFlag != 0 {
		at = padLen + int(binary.BigEndian.Uint16(sc.out[2:]))
		subtle.XORBytes(packet, packet, pads[at:at+len(packet)])
	}
}
