package crypto

import (
	"crypto/rand"
	mrand "math/rand/v2"
)

// CoverLen is what Cover adds to a message at least: 16 random bytes.
const CoverLen = tagLen

// CoverSpread is how many bytes more a cover has at most, so that lengths are no sign.
const CoverSpread = 64

// Lengthen appends random bytes to the packet of a handshake that is not masked yet: a random
// number of them from CoverLen to CoverLen + CoverSpread, as far as it has most bytes then. If
// there is no room for CoverLen it changes nothing.
func Lengthen(pkt []byte, most int) []byte {
	at, spread := len(pkt), min(most-len(pkt)-CoverLen, CoverSpread)
	if spread < 0 {
		return pkt
	}
	pkt = append(pkt, make([]byte, CoverLen+mrand.IntN(spread+1))...)
	_, _ = rand.Read(pkt[at:]) // never fails
	return pkt
}

// Cover makes noise of a message of another protocol: it appends random bytes, at least
// CoverLen of them and up to size bytes in all, and masks all but the last 16, as those of a
// HELLO are (PROTOCOL.md, section 5). msg has at least 16 bytes.
func (m *Mask) Cover(sc *Scratch, msg []byte, size int) []byte {
	at := len(msg)
	msg = append(msg, make([]byte, max(size-at, CoverLen))...)
	_, _ = rand.Read(msg[at:]) // never fails
	m.xorBody(msg)
	m.xorBlock(sc, msg, 0, 0)
	return msg
}

// Uncover undoes Cover in place, and returns the message with the random bytes behind it that
// are not the last 16. begins reports whether a message may begin with 16 bytes. If it may not
// nothing is changed, and nil is returned, as for a packet that is too short.
func (m *Mask) Uncover(sc *Scratch, pkt []byte, begins func(head []byte) bool) []byte {
	if len(pkt) < maskMin {
		return nil
	}
	m.xorBlock(sc, pkt, 0, 0)
	if !begins(pkt[:headerLen]) {
		m.xorBlock(sc, pkt, 0, 0)
		return nil
	}
	m.xorBody(pkt)
	return pkt[:len(pkt)-CoverLen]
}
