package tap

import "fmt"

// DefaultCost is the path cost of the device in the spanning tree of its bridge.
// Linux would make it 2, since a TAP says that it has 10 Gbit/s: the tree would
// prefer the overlay to copper.
const DefaultCost = 2000

// MaxCost is the highest path cost that Linux takes (BR_MAX_PATH_COST).
const MaxCost = 65535

// Port says of which bridge the device is a port. A port has no address, no IPv6
// of its own, and a MAC that the bridge does not take over.
type Port struct {
	// Bridge is the name of a bridge that exists; empty: the device is no port.
	Bridge string
	// Cost is the path cost in the bridge's spanning tree, 1 to 65535; 0 means
	// DefaultCost.
	Cost int
	// Address has SetAddress give its addresses to the bridge. They have a
	// lifetime there, which Watch renews, so that they go even if this process is
	// killed.
	Address bool
	// Force joins a bridge that the default route leaves by, too.
	Force bool
}

// validate refuses what no bridge can be asked for.
func (p Port) validate() error {
	if fault := nameFault(p.Bridge); fault != "" {
		return refusal("%q cannot be the name of a bridge: %s.", p.Bridge, fault)
	}
	if p.Cost < 0 || p.Cost > MaxCost {
		return refusal("a path cost of %d is impossible: it must be between 1 and %d.", p.Cost, MaxCost)
	}
	return nil
}

// cost returns the path cost to set.
func (p Port) cost() int {
	if p.Cost == 0 {
		return DefaultCost
	}
	return p.Cost
}

// refusal is E30: a bridge that cannot be joined.
func refusal(format string, args ...any) *OpenError {
	return &OpenError{Code: "E30", Sentence: fmt.Sprintf(format, args...)}
}

// portMAC returns the MAC of the interface of an edge that is a port. A bridge
// without an address of its own takes the lowest MAC of its ports, so the gateway
// of a whole LAN could change its address when an edge comes or goes. This one is
// higher than any that a card has; its end is that of the edge's own MAC, and so
// differs between two edges of a LAN. Frames for the edge itself never have it.
func portMAC(mac [6]byte) [6]byte {
	return [6]byte{0xfe, 0xff, mac[2], mac[3], mac[4], mac[5]}
}
