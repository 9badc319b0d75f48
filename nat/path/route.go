package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// State is where a path stands. docs/NAT.md draws the transitions.
type State uint8

// The states of a path.
const (
	StateIdle    State = iota // no traffic for long: nothing is sent, what comes goes by relay
	StateRelay                // traffic by relay, waiting for the next attempt
	StatePunch                // traffic by relay, an attempt runs
	StateVerify               // an address answered, it has yet to carry full datagrams
	StateDirect               // traffic goes directly
	StateSuspect              // a ping is missing: traffic goes directly and by relay
)

// String returns the state's name in lower case.
func (s State) String() string {
	switch s {
	case StateIdle:
		return "idle"
	case StateRelay:
		return "relay"
	case StatePunch:
		return "punch"
	case StateVerify:
		return "verify"
	case StateDirect:
		return "direct"
	case StateSuspect:
		return "suspect"
	}
	return "unknown"
}

// Route says which way traffic to the peer goes now.
type Route struct {
	Direct netip.AddrPort // where to send directly; not valid when there is no direct path
	Relay  bool           // send by relay: alone, or as well while the direct path is new or in doubt
	RTT    time.Duration  // smoothed round trip of the direct path, 0 without one
	State  State
	MTU    int                   // bytes of the largest IP packet that the direct path is known to carry, 0 without one
	Seen   netip.AddrPort        // our address as the peer sees it on the direct path
	Kind   address.CandidateKind // of the direct path's address, 0 without one
}

// Payload returns the bytes of the largest UDP payload that the direct path is
// known to carry, 0 without one. What is longer is to be cut into fragments.
func (r Route) Payload() int {
	if !r.Direct.IsValid() {
		return 0
	}
	return r.MTU - ipOverhead(r.Direct)
}

// Probe is a PING that the caller sends now.
type Probe struct {
	To    netip.AddrPort
	Nonce [8]byte
	Gen   uint32 // of the peer's candidates
	Path  uint8  // a number of the address, for who reads captures
	Pad   int    // bytes of padding in the PING; the PONG is to be padded to the same size
	TTL   uint8  // 0 = the socket's default
	// Socket is 0 for the data socket, else the number of one of those that
	// Sockets asks for.
	Socket int
}

// Output is what one Poll wants done.
type Output struct {
	// Probes belong to the Machine and are valid until its next Poll.
	Probes []Probe
	// WantPunch asks for a PUNCH message to a supernode, which then tells
	// both ends when to begin, and for a CALL to the peer, which leads to
	// Arrange.
	WantPunch bool
	// Changed says that Route differs from the last Poll in anything but its
	// RTT and Seen.
	Changed bool
}

// Sizes of a PING, for padding it to the size of data.
const (
	// pingLen is the UDP payload of a DATA packet with an unpadded PING:
	// header 16, kind 1, message type and length 3, nonce 8, generation 4,
	// path 1, tag 16 (PROTOCOL.md, sections 3 and 7).
	pingLen   = 49
	overhead4 = 20 + 8 // IPv4 and UDP headers
	overhead6 = 40 + 8 // IPv6 and UDP headers
)

func ipOverhead(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return overhead4
	}
	return overhead6
}
