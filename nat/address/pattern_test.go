package address

import "testing"

func TestPattern(t *testing.T) {
	const hard = MappingAddressAndPortDependent
	cases := []struct {
		p    Pattern
		want PortClass
		step int
	}{
		{Pattern{}, PortsStable, 0},
		{Pattern{Mapping: MappingEndpointIndependent, Ports: []uint16{1, 2, 3}}, PortsStable, 1},
		{Pattern{Mapping: hard}, PortsRandom, 0},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5001}}, PortsRandom, 1},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5001, 5002}}, PortsSequential, 1},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5002, 5004, 5008}}, PortsSequential, 2},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5017, 5018}}, PortsBlock, 0},
		{Pattern{Mapping: hard, Ports: []uint16{5002, 5001, 5000}}, PortsBlock, 0},
		{Pattern{Mapping: hard, Ports: []uint16{40000, 44095, 41000}}, PortsBlock, 0},
		{Pattern{Mapping: hard, Ports: []uint16{40000, 44096, 41000}}, PortsRandom, 0},
		{Pattern{Mapping: MappingAddressDependent, Ports: []uint16{40000, 41000, 40500}}, PortsBlock, 0},
		{Pattern{Mapping: hard, Ports: []uint16{65534, 65535, 1024}}, PortsRandom, 0},
	}
	for _, c := range cases {
		if got, step := c.p.Class(), c.p.Step(); got != c.want || step != c.step {
			t.Errorf("%v: class %d, step %d; want %d, %d", c.p, got, step, c.want, c.step)
		}
	}
	if low, high := (Pattern{Mapping: hard, Ports: []uint16{1100, 1500, 1300}}).Range(); low != 1024 || high != 1600 {
		t.Errorf("%d to %d", low, high)
	}
}

// TestPatternWords wants what is told a person.
func TestPatternWords(t *testing.T) {
	const hard = MappingAddressAndPortDependent
	for _, c := range []struct {
		p           Pattern
		text, class string
	}{
		{Pattern{Mapping: MappingEndpointIndependent}, "endpoint-independent mapping", "one for all"},
		{Pattern{}, "unknown mapping", "one for all"},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5001, 5002}}, "address-and-port-dependent mapping, ports in sequence", "in sequence"},
		{Pattern{Mapping: hard, Ports: []uint16{5000, 5900, 5400}}, "address-and-port-dependent mapping, ports in a block", "out of a block"},
		{Pattern{Mapping: MappingAddressDependent}, "address-dependent mapping, random ports", "at random"},
	} {
		if c.p.String() != c.text || c.p.Class().String() != c.class {
			t.Errorf("%v, %v; want %s, %s", c.p, c.p.Class(), c.text, c.class)
		}
	}
}
