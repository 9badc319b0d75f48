package bridge

import (
	"net/netip"
	"slices"
	"testing"

	"hedgerow/protocol"
)

var (
	mine   = host(1)
	his    = host(2)
	ours4  = [4]byte{10, 64, 0, 7}
	local  = netip.MustParseAddr("fe80::1")
	target = netip.MustParseAddr("fd00::2")
	nodes  = netip.MustParseAddr("ff02::1")
	none6  = netip.IPv6Unspecified()
)

// claimCase is a frame and what is read of it.
type claimCase struct {
	name    string
	f       protocol.Frame
	kind    Kind
	foreign bool
	ips     []string
}

// claims are frames with what is read of them. Their source is mine.
var claims = []claimCase{
	{"ARP request", frame(protocol.Broadcast, mine, etherTypeARP, arp(1, mine, ours4, protocol.MAC{}, [4]byte{10})), Claims, false, []string{"10.64.0.7"}},
	{"ARP reply", frame(his, mine, etherTypeARP, arp(2, mine, ours4, his, [4]byte{10})), Claims, false, []string{"10.64.0.7"}},
	{"ARP for another", frame(his, mine, etherTypeARP, arp(2, his, ours4, his, [4]byte{10})), Claims, true, []string{"10.64.0.7"}},
	{"ARP probe", frame(protocol.Broadcast, mine, etherTypeARP, arp(1, mine, [4]byte{}, protocol.MAC{}, ours4)), Claims, false, nil},
	{"ARP in a VLAN", tagged(frame(his, mine, etherTypeARP, arp(2, mine, ours4, his, [4]byte{10}))), Claims, false, []string{"10.64.0.7"}},
	{"ARP, cut", frame(his, mine, etherTypeARP, arp(2, his, ours4, his, [4]byte{10})[:27]), Plain, false, nil},
	{"ARP of IEEE 802", frame(his, mine, etherTypeARP, append([]byte{0, 6}, arp(2, his, ours4, his, [4]byte{10})[2:]...)), Claims, true, []string{"10.64.0.7"}},
	{"solicitation", nd(local, solicitation(target, mine)), Claims, false, []string{"fe80::1"}},
	{"solicitation for another", nd(local, solicitation(target, his)), Claims, true, []string{"fe80::1"}},
	{"duplicate address detection", nd(none6, solicitation(target, protocol.MAC{})), Claims, false, []string{"fd00::2"}},
	{"advertisement", nd(local, advertisement(target, mine)), Claims, false, []string{"fe80::1", "fd00::2"}},
	{"advertisement for another", nd(local, advertisement(target, his)), Claims, true, []string{"fe80::1", "fd00::2"}},
	{"two options", nd(local, append(advertisement(target, mine), advertisement(target, his)[24:]...)), Claims, true, []string{"fe80::1", "fd00::2"}},
	{"an option of no length", nd(local, append(advertisement(target, mine), 9, 0, 0, 0, 0, 0, 0, 0, 2, 1, 9, 9, 9, 9, 9, 9)), Claims, false, []string{"fe80::1", "fd00::2"}},
	{"router solicitation for another", nd(local, append([]byte{133, 0, 0, 0, 0, 0, 0, 0, optSource, 1}, his[:]...)), Claims, true, []string{"fe80::1"}},
	{"router advertisement", nd(local, make16(134)), Advertises, false, nil},
	{"redirect", nd(local, make16(137)), Advertises, false, nil},
	{"echo", nd(local, make16(128)), Plain, false, nil},
	{"advertisement behind headers", v6(local, extHopByHop, extension(extDestination, extension(protoICMPv6, make16(134)))), Advertises, false, nil},
	{"behind too many headers", v6(local, extDestination, many(9, make16(134))), Hidden, false, nil},
	{"in a fragment", v6(local, extFragment, fragment6(protoICMPv6, 0, true, make16(134))), Hidden, false, nil},
	{"in a later fragment", v6(local, extFragment, fragment6(protoICMPv6, 9, false, make16(134))), Plain, false, nil},
	{"headers in another fragment", v6(local, extFragment, fragment6(extDestination, 0, true, []byte{protoICMPv6, 9, 0, 0, 0, 0, 0, 0})), Hidden, false, nil},
	{"the type in another fragment", v6(local, extFragment, fragment6(protoICMPv6, 0, true, nil)), Hidden, false, nil},
	{"headers that are not there", v6(local, extDestination, []byte{protoICMPv6, 9, 0, 0, 0, 0, 0, 0}), Plain, false, nil},
	{"behind an authentication header", v6(local, extAH, append([]byte{protoICMPv6, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, make16(134)...)), Advertises, false, nil},
	{"DHCPv6 of a client", v6(local, protoUDP, udp(546, 547, []byte{1, 0, 0, 1})), Plain, false, nil},
	{"DHCPv6 of a server", v6(local, protoUDP, udp(547, 546, []byte{2, 0, 0, 1})), ServesDHCP, false, nil},
	{"DHCPv6 of another port", v6(local, protoUDP, udp(9, 546, []byte{2, 0, 0, 1})), ServesDHCP, false, nil},
	{"DHCPv6 to a relay", v6(local, protoUDP, udp(547, 547, []byte{dhcpRelayReply, 0, 0, 1})), ServesDHCP, false, nil},
	{"UDP in a fragment, without ports", v6(local, extFragment, fragment6(protoUDP, 0, true, nil)), Hidden, false, nil},
	{"UDP", v6(local, protoUDP, udp(53, 5353, []byte{2, 0, 0, 1})), Plain, false, nil},
	{"DHCP of a client", frame(protocol.Broadcast, mine, 0x0800, udp4([4]byte{}, [4]byte{255, 255, 255, 255}, 68, 67, dhcpBody(dhcpRequest, mine, [4]byte{}))), Claims, false, nil},
	{"DHCP for another", frame(protocol.Broadcast, mine, 0x0800, udp4([4]byte{}, [4]byte{255, 255, 255, 255}, 68, 67, dhcpBody(dhcpRequest, his, [4]byte{}))), Claims, true, nil},
	{"DHCPRELEASE", frame(his, mine, 0x0800, udp4(ours4, [4]byte{10}, 68, 67, dhcpBody(dhcpRequest, mine, ours4))), Claims, false, []string{"10.64.0.7"}},
	{"DHCP of a server", frame(his, mine, 0x0800, udp4([4]byte{10}, ours4, 67, 68, dhcpBody(dhcpReply, his, [4]byte{}))), ServesDHCP, false, nil},
	{"DHCP of another port", frame(his, mine, 0x0800, udp4([4]byte{10}, ours4, 6767, 68, dhcpBody(dhcpReply, his, [4]byte{}))), ServesDHCP, false, nil},
	{"DHCP in a VLAN", tagged(tagged(frame(his, mine, 0x0800, udp4([4]byte{10}, ours4, 67, 68, dhcpBody(dhcpReply, his, [4]byte{}))))), ServesDHCP, false, nil},
	{"DHCP, cut", frame(his, mine, 0x0800, udp4([4]byte{10}, ours4, 68, 67, dhcpBody(dhcpRequest, his, [4]byte{})[:20])), Plain, false, nil},
	{"DHCP in a fragment", frame(his, mine, 0x0800, ip4([4]byte{10}, ours4, protoUDP, 0x2000, udp(67, 68, nil))), Hidden, false, nil},
	{"DHCP in a later fragment", frame(his, mine, 0x0800, ip4([4]byte{10}, ours4, protoUDP, 0x2001, udp(67, 68, nil))), Plain, false, nil},
	{"DNS", frame(his, mine, 0x0800, udp4([4]byte{10}, ours4, 53, 5353, dhcpBody(dhcpReply, his, [4]byte{}))), Plain, false, nil},
	{"TCP to port 68", frame(his, mine, 0x0800, ip4([4]byte{10}, ours4, protoTCP, 0, udp(67, 68, dhcpBody(dhcpReply, his, [4]byte{})))), Plain, false, nil},
	{"nothing", frame(his, mine, 0x0800, nil), Plain, false, nil},
}

func v6(src netip.Addr, next byte, payload []byte) protocol.Frame {
	return frame(protocol.MAC{0x33, 0x33, 0, 0, 0, 1}, mine, protocol.EtherTypeIPv6, ip6(src, nodes, next, payload))
}

func nd(src netip.Addr, message []byte) protocol.Frame { return v6(src, protoICMPv6, message) }

func make16(message byte) []byte { return append([]byte{message}, make([]byte, 31)...) }

// many puts headers of destination options before a message.
func many(n int, message []byte) []byte {
	p := extension(protoICMPv6, message)
	for range n - 1 {
		p = extension(extDestination, p)
	}
	return p
}

// TestClaim reads frames of every kind. What is not Plain has to be Judged.
func TestClaim(t *testing.T) {
	for _, c := range claims {
		f := parsed(t, c.f)
		got := f.Claim()
		var ips []string
		for _, a := range got.IPs() {
			ips = append(ips, a.String())
		}
		if got.Kind != c.kind || got.Foreign != c.foreign || !slices.Equal(ips, c.ips) {
			t.Errorf("%s: kind %d, foreign %v, %v", c.name, got.Kind, got.Foreign, ips)
		}
		if got.Kind != Plain && !f.Judged() {
			t.Errorf("%s is not judged", c.name)
		}
	}
}

// TestJudged: what makes up the traffic of a network is not judged.
func TestJudged(t *testing.T) {
	for _, name := range []string{"DNS", "TCP to port 68", "UDP", "nothing"} {
		i := slices.IndexFunc(claims, func(c claimCase) bool { return c.name == name })
		if parsed(t, claims[i].f).Judged() {
			t.Errorf("%s is judged", name)
		}
	}
}

func TestByMAC(t *testing.T) {
	for text, want := range map[string]string{
		"fe80::ff:fe00:1": "02:00:00:00:00:01", "fd00::a8bb:ccff:fedd:eeff": "aa:bb:cc:dd:ee:ff", "fe80::1": "", "10.64.0.7": "",
	} {
		mac, ok := ByMAC(netip.MustParseAddr(text))
		if ok != (want != "") || ok && mac.String() != want {
			t.Errorf("%s: %v %v", text, mac, ok)
		}
	}
}

func TestParsedAllocations(t *testing.T) {
	n := testing.AllocsPerRun(100, func() {
		for _, c := range claims {
			var f Parsed
			f.Parse(c.f)
			f.Judged()
			f.Claim()
			f.Class()
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// fuzzClaim reads a payload as that of a frame of a type: nothing panics, what is read is
// bounded, what says something is Judged, and nothing changes with a tag.
func fuzzClaim(f *testing.F, etherType uint16) {
	for _, c := range claims {
		if c.f.EtherType() == etherType {
			f.Add([]byte(c.f.Payload()))
		}
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		plain := frame(his, mine, etherType, payload)
		f := parsed(t, plain)
		got := f.Claim()
		if got.Kind != Plain && !f.Judged() {
			t.Fatalf("kind %d is not judged", got.Kind)
		}
		if len(got.IPs()) > 0 && got.Kind != Claims || got.Foreign && got.Kind != Claims {
			t.Fatalf("kind %d claims %v", got.Kind, got.IPs())
		}
		for _, a := range got.IPs() {
			if a.IsUnspecified() || a.IsMulticast() {
				t.Fatalf("claims %v", a)
			}
		}
		if again := parsed(t, tagged(plain)).Claim(); again != got {
			t.Fatalf("with a tag it is %+v, without %+v", again, got)
		}
		f.Class()
	})
}

func FuzzARP(f *testing.F)  { fuzzClaim(f, etherTypeARP) }
func FuzzIPv4(f *testing.F) { fuzzClaim(f, protocol.EtherTypeIPv4) } // DHCP
func FuzzIPv6(f *testing.F) { fuzzClaim(f, protocol.EtherTypeIPv6) } // neighbour discovery, DHCPv6

func BenchmarkJudged(b *testing.B) {
	f := frame(his, mine, 0x0800, ip4([4]byte{10}, ours4, protoTCP, 0, make([]byte, 1300)))
	for b.Loop() {
		var p Parsed
		p.Parse(f)
		p.Judged()
	}
}

func BenchmarkClaim(b *testing.B) {
	f := claims[0].f
	for b.Loop() {
		var p Parsed
		p.Parse(f)
		p.Claim()
	}
}
