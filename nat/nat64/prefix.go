package nat64

import (
	"net/netip"
	"slices"
)

// lengths are those that a prefix may have (RFC 6052, section 2.2), by their code in a router
// advertisement (RFC 8781, section 4).
var lengths = [...]int{96, 64, 56, 48, 40, 32}

// reservedByte is the byte of an address that no part of an IPv4 address is in: bits 64 to
// 71, which are zero (RFC 6052, section 2.2).
const reservedByte = 8

// Prefix is the prefix of a NAT64. The zero value is none.
type Prefix struct{ p netip.Prefix }

// WellKnown is the Well-Known Prefix, which stands for public IPv4 addresses alone, in any
// network (RFC 6052, sections 2.1 and 3.1).
var WellKnown = Prefix{netip.MustParsePrefix("64:ff9b::/96")}

// NewPrefix returns p without what is behind its length; ok is false if no NAT64 can have
// it: the length is none of RFC 6052, bits 64 to 71 are not zero, or it is not unicast.
func NewPrefix(p netip.Prefix) (prefix Prefix, ok bool) {
	a := p.Addr()
	if !p.IsValid() || !a.Is6() || a.Is4In6() || !slices.Contains(lengths[:], p.Bits()) {
		return Prefix{}, false
	}
	p = p.Masked()
	a = p.Addr()
	if a.As16()[reservedByte] != 0 || a.IsMulticast() || a.IsLinkLocalUnicast() || a.As16()[0] == 0 && a.As16()[1] == 0 {
		return Prefix{}, false
	}
	return Prefix{p}, true
}

// IsValid reports whether there is a prefix.
func (p Prefix) IsValid() bool { return p.p.IsValid() }

// Contains reports whether an address begins with the prefix.
func (p Prefix) Contains(a netip.Addr) bool { return p.p.Contains(a) }

// String returns the prefix as in 64:ff9b::/96.
func (p Prefix) String() string { return p.p.String() }

// places are where the bytes of the IPv4 address are behind a prefix of a length in bits:
// without a gap but for the reserved byte.
func places(bits int) (at [4]int) {
	i := bits / 8
	for n := range at {
		if i == reservedByte {
			i++
		}
		at[n] = i
		i++
	}
	return at
}

// Embed returns the IPv6 address by which the NAT64 of the prefix, which has to be valid,
// reaches an IPv4 address (RFC 6052, section 2.3). It does not allocate.
func (p Prefix) Embed(a netip.Addr) netip.Addr {
	b, four := p.p.Addr().As16(), a.As4()
	for n, at := range places(p.p.Bits()) {
		b[at] = four[n]
	}
	return netip.AddrFrom16(b)
}

// Extract returns the IPv4 address in an IPv6 address of the prefix; ok is false for any
// other, and for one whose bits 64 to 71 are not zero. What is behind the IPv4 address does
// not count (RFC 6052, section 2.3). It does not allocate.
func (p Prefix) Extract(a netip.Addr) (four netip.Addr, ok bool) {
	if !a.Is6() || a.Zone() != "" || !p.p.Contains(a) {
		return netip.Addr{}, false
	}
	b := a.As16()
	if p.p.Bits() != 96 && b[reservedByte] != 0 {
		return netip.Addr{}, false
	}
	var bytes [4]byte
	for n, at := range places(p.p.Bits()) {
		bytes[n] = b[at]
	}
	return netip.AddrFrom4(bytes), true
}
