package path

import (
	"net/netip"
	"time"

	"hedgerow/nat/address"
)

// Route says how traffic to the peer travels now.
type Route struct {
	Direct netip.AddrPort        // where to send directly; not valid when there is no direct path
	Relay  bool                  // send by the relayed path: alone, or as well while the direct path is new or in doubt
	RTT    time.Duration         // smoothed round trip of the direct path, 0 without one
	State  State                 // where the path stands
	MTU    int                   // bytes of the largest IP packet that the direct path is known to carry, 0 without one
	Seen   netip.AddrPort        // our address as the peer sees it on the direct path
	Kind   address.CandidateKind // of the direct path's address, 0 without one
}

// Payload returns the bytes of the largest UDP payload that the direct path is
// known to carry, 0 without one. Longer payloads are to be cut into fragments.
func (r Route) Payload() int {
	if !r.Direct.IsValid() {
		return 0
	}
	return r.MTU - ipOverhead(r.Direct)
}

// sameButTimes reports whether two routes differ in their RTT and Seen at most.
func (r Route) sameButTimes(other Route) bool {
	return r.Direct == other.Direct && r.Relay == other.Relay && r.State == other.State && r.MTU == other.MTU
}

// Route returns how traffic travels now. It costs nothing.
func (p *Machine) Route() Route {
	s := &p.selection
	if !s.exists() {
		return Route{Relay: true, State: p.state()}
	}
	return Route{
		Direct: s.remote.addr, RTT: s.remote.rtt.smooth, State: p.state(), MTU: s.mtu.Size(),
		Seen: s.remote.seen, Kind: s.remote.kind,
		Relay: s.suspect() || !s.heart.dual.IsZero(),
	}
}

// The bytes that IP and UDP add to a payload.
const (
	overhead4 = 20 + 8
	overhead6 = 40 + 8
)

// ipOverhead returns the bytes that IP and UDP add to a payload for an address.
func ipOverhead(a netip.AddrPort) int {
	if a.Addr().Is4() {
		return overhead4
	}
	return overhead6
}
