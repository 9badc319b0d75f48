package portmap

import (
	"net/netip"
	"time"
)

// A Protocol is a protocol of port mapping; the text is its name for display.
type Protocol string

// The protocols, the better one first.
const (
	PCP    Protocol = "PCP"     // RFC 6887
	NATPMP Protocol = "NAT-PMP" // RFC 6886
	UPnP   Protocol = "UPnP"    // UPnP Forum, WANIPConnection 1 and 2, WANPPPConnection 1
)

// A Mapping is the public address and port that the router maps to ours, or the
// reason why there is none.
type Mapping struct {
	// External is the public address and port. It is not valid when there is
	// no mapping; Problem then says why.
	External netip.AddrPort
	// Protocol is the one by which the router was asked.
	Protocol Protocol
	// Until is when the router forgets the mapping unless it is renewed.
	Until time.Time
	// Problem is a sentence without a full stop, such as "no router answers".
	// It is empty when there is a mapping.
	Problem string
}

// notPublic are the ranges that are not reachable from the internet: a router
// with such an address is behind another NAT. RFC 6890 has them all; those for
// documentation are left out, which are public in tests.
var notPublic = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("10.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' NATs, RFC 6598
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("169.254.0.0/16"),
	netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), // DS-Lite, RFC 6333
	netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("224.0.0.0/3"), // multicast, and the reserved range above it
}

// public reports whether an IPv4 address can be reached from the internet.
func public(a netip.Addr) bool {
	if !a.Is4() {
		return false
	}
	for _, p := range notPublic {
		if p.Contains(a) {
			return false
		}
	}
	return true
}
