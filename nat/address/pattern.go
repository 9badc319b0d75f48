package address

import "slices"

// MaxPorts is how many ports a Pattern holds: enough to tell a block of ports
// from all of them, and the ends of the block.
const MaxPorts = 16

// Pattern describes how the NATs in front of an edge choose external ports, as far
// as that is known. Two edges exchange theirs before they try more than plain probes.
type Pattern struct {
	Mapping MappingBehavior
	// Ports are the external ports of sockets that each sent to a server for the
	// first time, one right after the other, the oldest first; at most 16. None
	// are needed where the mapping is endpoint-independent.
	Ports []uint16
}

// LowestPort is the lowest port that a NAT should give out (RFC 4787, section 4.2.1),
// and the lowest one that is probed.
const LowestPort = 1024

// PortClass says how the next external port of a NAT can be guessed.
type PortClass uint8

// The classes of ports.
const (
	PortsStable     PortClass = iota // it need not be: all destinations see one, or nothing else is known
	PortsSequential                  // the next ones follow the last by a small step
	PortsBlock                       // one of a few thousand
	PortsRandom                      // one of all
)

// String says how the ports follow each other.
func (c PortClass) String() string {
	switch c {
	case PortsSequential:
		return "in sequence"
	case PortsBlock:
		return "out of a block"
	case PortsRandom:
		return "at random"
	}
	return "one for all"
}

const (
	maxStep     = 16   // between ports that count as sequential; other flows come in between
	maxBlock    = 4096 // ports that count as one block
	fewestPorts = 3    // that tell anything
)

// Class classifies the pattern. Address-dependent mapping counts by its ports,
// too: no server has seen the port that a peer will see.
func (p Pattern) Class() PortClass {
	switch {
	case p.Mapping != MappingAddressDependent && p.Mapping != MappingAddressAndPortDependent:
		return PortsStable
	case len(p.Ports) < fewestPorts:
		return PortsRandom
	case p.Step() > 0:
		return PortsSequential
	}
	if low, high := p.ends(); int(high)-int(low) < maxBlock {
		return PortsBlock
	}
	return PortsRandom
}

// Step returns the distance of sequential ports, 0 when they are not. The
// smallest one counts: larger ones are due to other flows in between.
func (p Pattern) Step() int {
	least := 0
	for i := 1; i < len(p.Ports); i++ {
		d := int(p.Ports[i]) - int(p.Ports[i-1])
		if d < 1 || d > maxStep {
			return 0
		}
		if least == 0 || d < least {
			least = d
		}
	}
	return least
}

// ends returns the lowest and the highest port.
func (p Pattern) ends() (low, high uint16) {
	return slices.Min(p.Ports), slices.Max(p.Ports)
}

// Range returns the range in which a further port probably lies: a quarter of
// the spread more at each end, and everything when the ports look random.
func (p Pattern) Range() (low, high int) {
	low, high = LowestPort, 1<<16-1
	if len(p.Ports) < fewestPorts {
		return low, high
	}
	a, b := p.ends()
	more := (int(b) - int(a)) / 4
	return max(low, int(a)-more), min(high, int(b)+more)
}

// String returns the pattern in words, for a person.
func (p Pattern) String() string {
	switch p.Class() {
	case PortsSequential:
		return p.Mapping.String() + " mapping, ports in sequence"
	case PortsBlock:
		return p.Mapping.String() + " mapping, ports in a block"
	case PortsRandom:
		return p.Mapping.String() + " mapping, random ports"
	}
	return p.Mapping.String() + " mapping"
}
