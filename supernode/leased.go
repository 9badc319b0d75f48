package supernode

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
)

// leasedLevels is how many levels of 64 addresses, 64 of those, and so on, hold the
// 2^32 addresses that differ in their last four bytes.
const leasedLevels = 6

// leased is the set of addresses that a community has leased. It finds the next one
// that is free in at most 2*leasedLevels steps, however many are taken: a bit of the
// lowest level is one address, a bit of a higher one says that all 64 below it are set.
// A word without bits is not kept. The zero value is empty.
type leased struct {
	levels [leasedLevels]map[leasedWord]uint64
	looked int // steps of all that were looked for
}

// leasedWord names 64 neighbours: what their addresses have in common before the last
// four bytes, and their number divided by 64.
type leasedWord struct {
	above [12]byte
	n     uint32
}

// split returns an address as the two parts that leased counts with. An IPv4 address
// is taken in its IPv6-mapped form.
func split(a netip.Addr) (above [12]byte, low uint32) {
	b := a.As16()
	return [12]byte(b[:12]), binary.BigEndian.Uint32(b[12:])
}

// add enters an address.
func (s *leased) add(a netip.Addr) {
	above, at := split(a)
	for level := range s.levels {
		words := s.levels[level]
		if words == nil {
			words = make(map[leasedWord]uint64)
			s.levels[level] = words
		}
		k := leasedWord{above, at >> 6}
		words[k] |= 1 << (at & 63)
		if words[k] != 1<<64-1 {
			return
		}
		at >>= 6
	}
}

// remove takes an address out.
func (s *leased) remove(a netip.Addr) {
	above, at := split(a)
	for level := range s.levels {
		words := s.levels[level]
		k := leasedWord{above, at >> 6}
		was := words[k]
		if left := was &^ (1 << (at & 63)); left != 0 {
			words[k] = left
		} else {
			delete(words, k)
		}
		if was != 1<<64-1 {
			return
		}
		at >>= 6
	}
}

// next returns the first free address from first to last; both have the part above in
// common.
func (s *leased) next(above [12]byte, first, last uint64) (low uint64, ok bool) {
	level, at := 0, first
	for ; level < leasedLevels; level++ {
		if free := ^s.word(level, above, at) >> (at & 63); free != 0 {
			at += uint64(bits.TrailingZeros64(free))
			break
		}
		at = at>>6 + 1 // nothing is left in this word
	}
	if level == leasedLevels {
		return 0, false
	}
	for ; level > 0; level-- {
		at <<= 6
		at += uint64(bits.TrailingZeros64(^s.word(level-1, above, at)))
	}
	return at, at <= last
}

// word returns the 64 bits of a level among which number at is.
func (s *leased) word(level int, above [12]byte, at uint64) uint64 {
	s.looked++
	return s.levels[level][leasedWord{above, uint32(at >> 6)}]
}
