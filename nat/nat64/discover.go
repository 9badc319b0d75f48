package nat64

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

// Name is what a DNS64 is asked for; it has IPv4 addresses alone, so that an IPv6 address of
// it was made up (RFC 7050, section 3).
const Name = "ipv4only.arpa"

// wellKnownAddrs are the IPv4 addresses of Name (RFC 7050, section 2.2).
var wellKnownAddrs = [...]netip.Addr{netip.AddrFrom4([4]byte{192, 0, 0, 170}), netip.AddrFrom4([4]byte{192, 0, 0, 171})}

// Find returns the prefixes of the IPv6 addresses that Name has here, in their order, none
// twice. An address in which a well-known one stands in two places tells a prefix only
// together with another one that has the same (RFC 7050, section 3).
func Find(list []netip.Addr) []Prefix {
	var found []Prefix
	for _, a := range list {
		of := candidates(a)
		if len(of) > 1 {
			of = slices.DeleteFunc(of, func(p Prefix) bool { return !confirmed(p, a, list) })
		}
		if len(of) == 1 && !slices.Contains(found, of[0]) {
			found = append(found, of[0])
		}
	}
	return found
}

// candidates returns the prefixes behind which a well-known address stands in an address.
func candidates(a netip.Addr) (list []Prefix) {
	for _, bits := range lengths {
		p, ok := NewPrefix(netip.PrefixFrom(a, bits))
		if !ok {
			continue
		}
		if four, ok := p.Extract(a); ok && slices.Contains(wellKnownAddrs[:], four) {
			list = append(list, p)
		}
	}
	return list
}

// confirmed reports whether another address than a has the other well-known one behind a
// prefix.
func confirmed(p Prefix, a netip.Addr, list []netip.Addr) bool {
	own, _ := p.Extract(a)
	return slices.ContainsFunc(list, func(b netip.Addr) bool {
		four, ok := p.Extract(b)
		return ok && four != own && slices.Contains(wellKnownAddrs[:], four)
	})
}

// The PREF64 option of a router advertisement (RFC 8781, section 4).
const (
	optionType   = 38
	optionLen    = 16 // bytes
	lifetimeUnit = 8  // seconds
)

// ParseOption reads a neighbour discovery option, from its type on, that names the prefix
// of a NAT64, and for how long; 0 ends it. ok is false for any other option.
func ParseOption(b []byte) (p Prefix, lifetime time.Duration, ok bool) {
	if len(b) < optionLen || b[0] != optionType || int(b[1])*8 != optionLen {
		return Prefix{}, 0, false
	}
	scaled := binary.BigEndian.Uint16(b[2:])
	code := int(scaled & 7)
	if code >= len(lengths) {
		return Prefix{}, 0, false
	}
	var a [16]byte
	copy(a[:12], b[4:optionLen])
	p, ok = NewPrefix(netip.PrefixFrom(netip.AddrFrom16(a), lengths[code]))
	return p, time.Duration(scaled>>3) * lifetimeUnit * time.Second, ok
}
