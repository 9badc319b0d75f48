package bridge

import (
	"net/netip"
	"testing"

	"hedgerow/protocol"
)

// packet returns a frame with the ports of a transport protocol, behind tags.
func packet(src protocol.MAC, tags int, ip6 bool, proto byte, from, to uint16) protocol.Frame {
	f := append(make([]byte, protocol.MACLen), src[:]...)
	for range tags {
		f = append(f, 0x81, 0, 0, 10)
	}
	ports := []byte{byte(from >> 8), byte(from), byte(to >> 8), byte(to)}
	if ip6 {
		ip := make([]byte, 40)
		ip[0], ip[6] = 0x60, proto
		copy(ip[24:], netip.MustParseAddr("2001:db8::7").AsSlice())
		return append(append(append(f, 0x86, 0xdd), ip...), ports...)
	}
	ip := make([]byte, 24) // with an option
	ip[0], ip[9] = 0x46, proto
	copy(ip[16:], []byte{198, 51, 100, 7})
	return append(append(append(f, 0x08, 0x00), ip...), ports...)
}

func TestSent(t *testing.T) {
	self, bridge, other := protocol.MAC{2, 1}, protocol.MAC{2, 2}, protocol.MAC{2, 3}
	var s Sockets
	s.OpenUDP(7777)
	s.OpenUDP(7778)
	s.CloseUDP(7778)
	s.OpenTCP(443)
	s.SetStations([]protocol.MAC{{2, 9}, bridge})
	four, six := netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("2001:db8::7")
	for _, c := range []struct {
		name  string
		frame protocol.Frame
		by    Sender
		to    netip.AddrPort
	}{
		{"our UDP", packet(self, 0, false, protoUDP, 7777, 9), Own, netip.AddrPortFrom(four, 9)},
		{"our UDP over IPv6", packet(self, 0, true, protoUDP, 7777, 9), Own, netip.AddrPortFrom(six, 9)},
		{"by the bridge", packet(bridge, 0, false, protoUDP, 7777, 9), Own, netip.AddrPortFrom(four, 9)},
		{"by a VLAN of it", packet(bridge, 1, false, protoUDP, 7777, 9), Own, netip.AddrPortFrom(four, 9)},
		{"by QinQ", packet(bridge, 2, true, protoUDP, 7777, 9), Own, netip.AddrPortFrom(six, 9)},
		{"another host with that port", packet(other, 0, false, protoUDP, 7777, 9), Stranger, netip.AddrPortFrom(four, 9)},
		{"another port", packet(self, 0, false, protoUDP, 7776, 9), Another, netip.AddrPort{}},
		{"a socket that is closed", packet(self, 0, false, protoUDP, 7778, 9), Another, netip.AddrPort{}},
		{"TCP with the port of UDP", packet(self, 0, false, protoTCP, 7777, 9), Another, netip.AddrPort{}},
		{"our TCP", packet(self, 0, true, protoTCP, 443, 9), Own, netip.AddrPortFrom(six, 9)},
		{"ICMP", packet(self, 0, false, 1, 7777, 9), Another, netip.AddrPort{}},
		{"three tags", packet(self, 3, false, protoUDP, 7777, 9), Own, netip.AddrPortFrom(four, 9)},
	} {
		if by, to := s.Sent(self, parsed(t, c.frame)); by != c.by || to != c.to {
			t.Errorf("%s: %d to %v, want %d to %v", c.name, by, to, c.by, c.to)
		}
		for n := protocol.EthernetLen; n < len(c.frame); n++ { // no length is too short to look at
			if f := new(Parsed); f.Parse(c.frame[:n]) {
				if by, _ := s.Sent(self, f); by != Another && n < len(c.frame)-2 {
					t.Errorf("%s: %d bytes of it were sent by %d", c.name, n, by)
				}
			}
		}
	}
	later := packet(self, 0, false, protoUDP, 7777, 9)
	later[protocol.EthernetLen+7] = 1
	if by, _ := s.Sent(self, parsed(t, later)); by != Another {
		t.Error("a later fragment counts as ours")
	}
}

func FuzzSent(f *testing.F) {
	f.Add([]byte(packet(protocol.MAC{2, 1}, 1, false, protoUDP, 7777, 9)))
	f.Add([]byte(packet(protocol.MAC{2, 1}, 0, true, protoTCP, 7777, 9)))
	var s Sockets
	for p := range 1 << 16 {
		s.OpenUDP(uint16(p))
		s.OpenTCP(uint16(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if f := new(Parsed); f.Parse(b) {
			if by, to := s.Sent(protocol.MAC{2, 1}, f); by != Another != to.IsValid() {
				t.Errorf("sent by %d to %v", by, to)
			}
		}
	})
}

func TestSentAllocates(t *testing.T) {
	var s Sockets
	s.OpenUDP(7777)
	f := packet(protocol.MAC{2, 1}, 0, false, protoUDP, 7777, 9)
	if n := testing.AllocsPerRun(100, func() {
		var p Parsed
		p.Parse(f)
		s.Sent(protocol.MAC{2, 1}, &p)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
