//go:build linux

package lab

import (
	"fmt"
	"time"
)

// A Kind is how a home router translates and filters IPv4, in the words of RFC
// 4787; TestKinds measures it. Kinds are values to choose from and compare;
// there are no others than those named here.
type Kind struct {
	name      string
	mapping   dependence
	filtering dependence
	ports     allocation
	block     int // ports in the block of allocation byBlock
	first     int // port of the block
	hairpin   bool
	openInput bool
	udp       passage
	lifetime  time.Duration // of a UDP mapping; 0: the kernel's
}

// dependence says on which part of the remote endpoint a mapping, or the filter
// in front of it, depends (RFC 4787, sections 4.1 and 5). TestKinds prints the
// words.
type dependence string

const (
	onNothing        dependence = "endpoint-independent"
	onAddress        dependence = "address-dependent"
	onAddressAndPort dependence = "address-and-port-dependent"
)

// allocation is how the public port of a mapping is chosen.
type allocation uint8

const (
	preserved allocation = iota // the host's own
	byHash                      // from firstPort on, by a hash of what the mapping depends on
	byNumber                    // from firstPort on, one after the other
	byBlock                     // from firstPort on, at random within a block
	byChance                    // at random from all above 1023
)

// firstPort is the lowest port of the allocations that have one, and hashPorts
// and numberPorts are after how many ports they begin anew.
const (
	firstPort   = 40_000
	hashPorts   = 16_384
	numberPorts = 4096
)

// passage says whether a host's UDP reaches the internet.
type passage uint8

const (
	passes passage = iota
	vanishes
	isRejected
)

// Kinds that keep one mapping for all destinations, and the host's port.
var (
	// PortRestricted is a Linux router with a closed input chain: mapping
	// endpoint-independent, filtering address-and-port-dependent, the port is
	// kept.
	PortRestricted = Kind{name: "port-restricted", mapping: onNothing, filtering: onAddressAndPort}
	// AddressRestricted is mapping endpoint-independent, filtering
	// address-dependent, the port is kept.
	AddressRestricted = Kind{name: "address-restricted", mapping: onNothing, filtering: onAddress}
	// EndpointIndependent is a "full cone" of RFC 3489: mapping and filtering both
	// endpoint-independent, the port is kept.
	EndpointIndependent = Kind{name: "endpoint-independent", mapping: onNothing, filtering: onNothing}
	// EndpointIndependentHairpin is EndpointIndependent, and hosts of the home
	// reach each other by their public addresses, which they also see as the
	// sources (RFC 4787, REQ-9: "external source IP address and port").
	EndpointIndependentHairpin = Kind{name: "endpoint-independent-hairpin", mapping: onNothing, filtering: onNothing, hairpin: true}
	// OpenInput is PortRestricted without the input chain. A datagram that comes
	// in before the host's own goes out gets the tuple in the connection table,
	// and the host's mapping moves to another port: plain simultaneous punching
	// fails.
	OpenInput = Kind{name: "open-input", mapping: onNothing, filtering: onAddressAndPort, openInput: true}
)

// Kinds that give a mapping a port of their own choice.
var (
	// PortReplacing is PortRestricted with a public port that follows from the
	// host's address and port and is another one.
	PortReplacing = Kind{name: "port-replacing", mapping: onNothing, filtering: onAddressAndPort, ports: byHash}
	// PortReplacingHairpin is PortReplacing with the hairpin of
	// EndpointIndependentHairpin. Between hosts of the home it filters nothing.
	// Carriers translate in this way.
	PortReplacingHairpin = Kind{name: "port-replacing-hairpin", mapping: onNothing, filtering: onAddressAndPort, ports: byHash, hairpin: true}
	// AddressDependent maps every destination address to a port of its own, and
	// filters address-and-port-dependent. Two sockets of which the ports
	// coincide by chance (1 in 16384) cannot both have the same destination.
	AddressDependent = Kind{name: "address-dependent", mapping: onAddress, filtering: onAddressAndPort, ports: byHash}
	// SymmetricSequential maps every destination to the port after that of the
	// mapping before: mapping and filtering both address-and-port-dependent.
	// Ports begin again after 4096.
	SymmetricSequential = Kind{name: "symmetric-sequential", mapping: onAddressAndPort, filtering: onAddressAndPort, ports: byNumber}
	// SymmetricRandom maps every destination to a random port of its own:
	// mapping and filtering both address-and-port-dependent.
	SymmetricRandom = Kind{name: "symmetric-random", mapping: onAddressAndPort, filtering: onAddressAndPort, ports: byChance}
)

// DefaultBlock is a usual size of a block of ports, in ports.
const DefaultBlock = 512

// SymmetricBlock is SymmetricRandom whose ports all are from one block of this
// many, as carriers assign them (RFC 6888, section 4); 1 to 16384.
func SymmetricBlock(ports int) Kind {
	return Kind{
		name: fmt.Sprintf("symmetric-block-%d", ports), mapping: onAddressAndPort, filtering: onAddressAndPort,
		ports: byBlock, block: ports, first: firstPort,
	}
}

// LowBlock is SymmetricBlock with the ports from 512 to 767: none that programs
// usually have, and such as an edge probes on nobody's word.
var LowBlock = Kind{
	name: "symmetric-low-block", mapping: onAddressAndPort, filtering: onAddressAndPort, ports: byBlock, block: 256, first: 512,
}

// Kinds that let out TCP to the ports 80 and 443 and nothing else, of both
// families.
var (
	// UDPBlocked drops everything else silently.
	UDPBlocked = Kind{name: "udp-blocked", mapping: onNothing, filtering: onAddressAndPort, udp: vanishes}
	// UDPBlockedReject answers everything else with the ICMP message
	// "communication administratively prohibited" (RFC 1812, section 5.2.7.1).
	UDPBlockedReject = Kind{name: "udp-blocked-reject", mapping: onNothing, filtering: onAddressAndPort, udp: isRejected}
)

// Lasting returns the kind with UDP mappings that end so long after their last
// datagram, in whole seconds, at least one. Linux keeps a mapping for 30 s, and
// for 120 s once there has been an answer.
func (k Kind) Lasting(d time.Duration) Kind {
	k.name += fmt.Sprintf("-%v", d)
	k.lifetime = d
	return k
}

func (k Kind) String() string { return k.name }

// check reports kinds that cannot be made.
func (k Kind) check() error {
	switch {
	case k.name == "":
		return fmt.Errorf("the zero Kind is none")
	case k.ports == byBlock && (k.block < 1 || k.block > hashPorts):
		return fmt.Errorf("%s: a block has 1 to %d ports", k, hashPorts)
	case k.lifetime != 0 && (k.lifetime < time.Second || k.lifetime%time.Second != 0):
		return fmt.Errorf("%s: the lifetime of a mapping is whole seconds", k)
	}
	return nil
}

// remembers reports whether the router needs to know its mappings beside the
// connection table: to admit packets that no host asked for, or hosts of the
// home.
func (k Kind) remembers() bool { return k.filtering != onAddressAndPort || k.hairpin }
