package portmap

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
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

// public reports whether an IPv4 address can be reached from the internet: a router with
// another one is behind another NAT.
func public(a netip.Addr) bool { return a.Is4() && address.Public(a) }
