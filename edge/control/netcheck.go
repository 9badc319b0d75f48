package control

import "slices"

// Netcheck is the result of package netcheck, as "edge netcheck --json" prints it.
// Fields are only ever added. What was not measured is absent.
type Netcheck struct {
	// IPv4 and IPv6 are the addresses of this host, one family each.
	IPv4 Underlay `json:"ipv4"`
	IPv6 Underlay `json:"ipv6"`
	// NAT describes the NATs between this host and the servers over IPv4; nil
	// when none answered.
	NAT *NAT `json:"nat,omitempty"`
	// PortMapping is the router's answer to requests for a port mapping; nil
	// when it was not asked.
	PortMapping *PortMapping `json:"port_mapping,omitempty"`
	// Servers are the supernodes and then the STUN servers, in the order of the
	// configuration.
	Servers []ServerReach `json:"servers"`
	// Verdict is one sentence about the direct paths to expect.
	Verdict string `json:"verdict"`
	// Advice lists what would help, the best first; empty where nothing is
	// needed.
	Advice []string `json:"advice"`
}

// Underlay is one family of addresses.
type Underlay struct {
	// Address is the one that this host sends from, and Interface has it; empty
	// without a route.
	Address   string `json:"address,omitempty"`
	Interface string `json:"interface,omitempty"`
	// Public are the addresses that servers see, without duplicates.
	Public []string `json:"public,omitempty"`
}

// NAT is the behaviour of all NATs on the path together. Without a NAT, a
// firewall has a filtering behaviour, too.
type NAT struct {
	// Present is whether servers see another address or port than our own.
	Present bool `json:"present"`
	// Mapping and Filtering are in the words of RFC 4787, sections 4.1 and 5, or
	// empty while unknown. Where the servers could not tell two behaviours apart
	// both are named.
	Mapping   string `json:"mapping,omitempty"`
	Filtering string `json:"filtering,omitempty"`
	// Ports says how the ports of sockets that were opened one after the other
	// follow from each other, one of the Ports constants, or empty.
	Ports string `json:"ports,omitempty"`
	// Sample are those ports, the oldest first.
	Sample []uint16 `json:"sample,omitempty"`
	// Hairpin is whether hosts behind the NAT reach each other by their public
	// addresses; nil where that could not be seen.
	Hairpin *bool `json:"hairpin,omitempty"`
}

// How a NAT chooses the public ports of new sockets. The last three are the words
// of nat.Pattern, by which an edge chooses how to get through.
const (
	PortsKept       = "those of the sockets"
	PortsSequential = "ports in sequence"
	PortsBlock      = "ports in a block"
	PortsRandom     = "random ports"
)

// The values of Mapping and Filtering where the servers cannot tell more.
const (
	// MappingOneServer is what the two ports of one server can show.
	MappingOneServer = "endpoint-independent or address-dependent"
	// FilteringOpen is what the two ports of one address can show.
	FilteringOpen = "endpoint-independent or address-dependent"
	// FilteringClosed admits only answers.
	FilteringClosed = "address-and-port-dependent"
)

// PortMapping is the router's answer.
type PortMapping struct {
	// Router is the default gateway, or empty without one.
	Router string `json:"router,omitempty"`
	// Problem is the reason why no router was asked, or empty.
	Problem string `json:"problem,omitempty"`
	// Protocols are those that were tried, the better one first.
	Protocols []MappingProtocol `json:"protocols,omitempty"`
}

// MappingProtocol is how the router speaks one protocol.
type MappingProtocol struct {
	// Name is "PCP", "NAT-PMP" or "UPnP".
	Name string `json:"name"`
	// Speaks is whether the router answered by it.
	Speaks bool `json:"speaks"`
	// External is the address and port that it mapped for a moment, or empty.
	External string `json:"external,omitempty"`
	// Problem is the reason why the router made no mapping, or empty.
	Problem string `json:"problem,omitempty"`
}

// ServerReach is how one server is reached.
type ServerReach struct {
	// Name is the server as typed.
	Name string `json:"name"`
	// Problem is the reason why the server has no address, or empty.
	Problem string `json:"problem,omitempty"`
	// UDP has one entry for each of its addresses that was asked, one of each
	// family that this host has.
	UDP []UDPReach `json:"udp,omitempty"`
	// TLS has one entry for each port that a stream was tried at.
	TLS []StreamReach `json:"tls,omitempty"`
}

// UDPReach is how an address answers over UDP.
type UDPReach struct {
	// Address is with its port.
	Address string `json:"address"`
	// Sent requests went there, Lost of them were not answered.
	Sent int `json:"sent"`
	Lost int `json:"lost"`
	// RTTms is the median of the round trips in milliseconds, nil without any.
	RTTms *float64 `json:"rtt_ms,omitempty"`
	// MTU is the longest IP packet in bytes that came there whole, up to 1500, to
	// four bytes; 0 when that was not measured.
	MTU int `json:"mtu,omitempty"`
}

// StreamReach is how a TCP port answers.
type StreamReach struct {
	// Port is where it was tried.
	Port uint16 `json:"port"`
	// OpenMS is how long the stream needed to open in milliseconds, nil when it
	// did not open; Problem is then the reason.
	OpenMS  *float64 `json:"open_ms,omitempty"`
	Problem string   `json:"problem,omitempty"`
}

// Reachable reports whether any server answered, over UDP or TLS.
func (n *Netcheck) Reachable() bool { return n.UDPWorks() || n.TLSWorks() }

// UDPWorks reports whether some server answers over UDP.
func (n *Netcheck) UDPWorks() bool {
	for _, s := range n.Servers {
		for _, e := range s.UDP {
			if e.RTTms != nil {
				return true
			}
		}
	}
	return false
}

// TLSTried reports whether a stream was tried to any supernode.
func (n *Netcheck) TLSTried() bool {
	return slices.ContainsFunc(n.Servers, func(s ServerReach) bool { return len(s.TLS) > 0 })
}

// TLSWorks reports whether some supernode answers by a stream.
func (n *Netcheck) TLSWorks() bool {
	for _, s := range n.Servers {
		for _, t := range s.TLS {
			if t.OpenMS != nil {
				return true
			}
		}
	}
	return false
}
