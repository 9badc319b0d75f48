// Package network has the networks that a source address lies in, one inside the
// other, and the rule by which strangers compete for places: each network has as
// much as any other, and within it each smaller one (Crowd). Whoever owns a network
// has all its addresses, so that their number must not count.
//
// It has no clock and no lock.
package network

import (
	"encoding/binary"
	"net/netip"
)

// Levels is how many networks a source is counted in.
const Levels = 3

// Key names a network. Keys of IPv4 and IPv6, and of different levels, differ. It is
// comparable.
type Key struct {
	bits  uint64
	level uint8
}

// ipv4 is what the levels of IPv4 networks begin with.
const ipv4 = Levels

// Of returns the networks of a source, the innermost first: the /64, /56 and /48 of
// an IPv6 address, which are what end sites get (RFC 6177, section 2), and of an IPv4
// address itself, itself again, and its /24. An IPv4 address that is written as an
// IPv6 one is an IPv4 address. Zones do not count, and the zero Addr is a network of
// its own.
func Of(a netip.Addr) (keys [Levels]Key) {
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		n := uint64(binary.BigEndian.Uint32(b[:]))
		return [Levels]Key{{n, ipv4}, {n, ipv4 + 1}, {n &^ 0xff, ipv4 + 2}}
	}
	b := a.As16()
	n := binary.BigEndian.Uint64(b[:8])
	return [Levels]Key{{n, 0}, {n &^ 0xff, 1}, {n &^ 0xffff, 2}}
}

// Level returns which level a network is of: 0 for the innermost, Levels-1 for the
// outermost.
func (k Key) Level() int { return int(k.level % Levels) }

// Append appends the 9 bytes that a network is hashed by.
func (k Key) Append(dst []byte) []byte {
	return append(binary.BigEndian.AppendUint64(dst, k.bits), k.level)
}
