package nat

import "slices"

// MaxPorts is how many ports a Pattern holds: enough to tell a block of ports
// from all of them, and the ends of the block.
const MaxPorts = 16

// Pattern is what is known of how the NATs in front of an edge choose external
// ports. Two edges exchange theirs before they try more than plain probes.
type Pattern struct {
	Mapping MappingBehavior
	// Ports are the external ports of sockets that each sent to a server for the
	// first time, one right after the other, the oldest first; at most 16. None
	// are needed where the mapping is endpoint-independent.
	Ports []uint16
}

// portClass says how an external port that nobody has seen can be guessed.
type portClass uint8

const (
	portsStable     portClass = iota // it need not be: all destinations see one, or nothing else is known
	portsSequential                  // the next ones follow the last by a small step
	portsBlock                       // one of a few thousand
	portsRandom                      // one of all
)

const (
	maxStep     = 16   // between ports that count as sequential; other flows come in between
	maxBlock    = 4096 // ports that count as one block
	fewestPorts = 3    // that tell anything
	lowestPort  = 1024 // no NAT gives out less, and nothing less is probed
)

// class classifies the pattern. Address-dependent mapping counts by its ports,
// too: what a peer will see was seen by nobody yet.
func (p Pattern) class() portClass {
	switch {
	case p.Mapping != MappingAddressDependent && p.Mapping != MappingAddressAndPortDependent:
		return portsStable
	case len(p.Ports) < fewestPorts:
		return portsRandom
	case p.step() > 0:
		return portsSequential
	}
	if low, high := p.ends(); int(high)-int(low) < maxBlock {
		return portsBlock
	}
	return portsRandom
}

// step returns the distance of sequential ports, 0 when they are not. The
// smallest one counts: what is larger is others' flows in between.
func (p Pattern) step() int {
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

// within returns the range in which a further port probably lies: a quarter of
// the spread more at each end, and everything when the ports look random.
func (p Pattern) within() (low, high int) {
	low, high = lowestPort, 1<<16-1
	if len(p.Ports) < fewestPorts {
		return low, high
	}
	a, b := p.ends()
	more := (int(b) - int(a)) / 4
	return max(low, int(a)-more), min(high, int(b)+more)
}

// String returns the pattern in words, for a person.
func (p Pattern) String() string {
	switch p.class() {
	case portsSequential:
		return p.Mapping.String() + " mapping, ports in sequence"
	case portsBlock:
		return p.Mapping.String() + " mapping, ports in a block"
	case portsRandom:
		return p.Mapping.String() + " mapping, random ports"
	}
	return p.Mapping.String() + " mapping"
}
