package pmtu

import "iter"

// Minimum and Ethernet are the bytes of the smallest and of the largest IP packet
// that is probed: the least that IPv6 wants everywhere (RFC 8200, section 5),
// and the most that Ethernet carries.
const (
	Minimum  = 1280
	Ethernet = 1500
)

// fallbacks are the bytes of IP packets that are tried when the wanted one does
// not come through: PPPoE and the like, tunnels, and IPv6's minimum.
var fallbacks = [...]int{1420, 1380, Minimum}

// Sizes yields the sizes in bytes of IP packets by which a path that is to carry
// full bytes is measured in one round: full itself, then the usual smaller ones
// down to Minimum, at most 4 in all.
func Sizes(full int) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !yield(full) {
			return
		}
		for _, size := range fallbacks {
			if size < full && !yield(size) {
				return
			}
		}
	}
}
