package adversary_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/integration/sim"
	"hedgerow/protocol"
)

// marker is in every frame that a hostile member makes here, behind all that is read
// of them.
var marker = []byte("from a hostile member")

// An ether is what a hostile member sends frames by: in its session, as floods, and as
// floods of a member that has no session; directly and by the supernode.
type ether struct {
	*edgeScene
	delivered atomic.Int64 // frames of the hostile member
	hostile   *sim.CrowdMember
	honest    *sim.CrowdMember
	unmet     *sim.CrowdMember
}

// newEther gives the members leases that the edge is told of.
func newEther(s *edgeScene) *ether {
	e := &ether{edgeScene: s, hostile: s.crowd.Member(hostileMember), honest: s.crowd.Member(honestMember), unmet: s.crowd.Member(absentMember)}
	for i := range crowdMembers {
		m := s.crowd.Member(i)
		m.Lease = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 64, 0, byte(10 + i)}), 24)
		s.crowd.Play(func() { s.crowd.Hub().TellOf(i) })
	}
	s.crowd.Play(func() {
		if err := e.unmet.NewGroup(time.Now()); err != nil {
			s.t.Error(err)
		}
	})
	s.crowd.Observe(func(frame []byte) {
		if slices.Equal(frame[max(0, len(frame)-len(marker)):], marker) {
			e.delivered.Add(1)
		}
	})
	time.Sleep(time.Second)
	return e
}

// batch is how many frames are sent at once.
const batch = 20

// send sends n frames, by each path in turn, and returns how many were delivered. The
// edge limits what is flooded, which is not to be the reason why nothing comes: there
// is a pause in which it would let a whole batch pass.
func (e *ether) send(n int, frame func(m *sim.CrowdMember, i int) protocol.Frame) int {
	before := e.delivered.Load()
	for i := 0; i < n; i += batch {
		e.crowd.Play(func() {
			for k := i; k < min(n, i+batch); k++ {
				e.sendOne(k%5, func(m *sim.CrowdMember) []byte { return append(frame(m, k), marker...) })
			}
		})
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
	}
	return int(e.delivered.Load() - before)
}

// sendOne sends a frame by one of five paths.
func (e *ether) sendOne(path int, frame func(m *sim.CrowdMember) []byte) {
	m, direct := e.hostile, path&1 == 0
	switch path {
	case 4:
		m = e.unmet
		pkt, err := m.Flood(frame(m))
		m.Send(false, pkt, err)
	case 2, 3:
		pkt, err := m.Flood(frame(m))
		m.Send(direct, pkt, err)
	default:
		pkt, err := m.SayInner(append([]byte{0}, frame(m)...))
		m.Send(direct, pkt, err)
	}
}

// to returns the destination of the i-th frame: the edge, everybody, a group, a host.
func (e *ether) to(i int) protocol.MAC {
	return []protocol.MAC{e.crowd.MAC, protocol.Broadcast, {0x33, 0x33, 0, 0, 0, 1}, {2, 0xaa, 0, 0, 0, 1}}[i/5%4]
}

// build makes a frame of parts.
func build(parts ...[]byte) protocol.Frame { return slices.Concat(parts...) }

// TestBridgePermission has a plain member send 10,000 frames of other sources: hosts,
// other members, the edge itself, with tags and without. None is delivered. As a bridge
// it may send those of hosts.
func TestBridgePermission(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		e := newEther(s)
		hosts := func(m *sim.CrowdMember, i int) protocol.Frame {
			dst, src := e.to(i), protocol.MAC{2, 0xbb, 0, 0, byte(i >> 8), byte(i)}
			return build(dst[:], src[:], []byte{0x88, 0xb5})
		}
		any := func(m *sim.CrowdMember, i int) protocol.Frame {
			f := hosts(m, i)
			switch i / 20 % 4 {
			case 1:
				copy(f[6:], e.honest.MAC[:])
			case 2:
				copy(f[6:], s.crowd.MAC[:])
			case 3:
				f = slices.Insert(f, 12, 0x81, 0, 0, 5)
			}
			return f
		}
		if got := e.send(10_000, any); got != 0 {
			s.t.Errorf("%d of 10000 frames of others were delivered", got)
		}
		if got := e.hosts(); got != 0 {
			s.t.Errorf("%d hosts were learned behind a plain edge", got)
		}
		own := func(m *sim.CrowdMember, i int) protocol.Frame {
			dst := e.to(i)
			return build(dst[:], m.MAC[:], []byte{0x88, 0xb5})
		}
		if got := e.send(100, own); got < 80 { // those of who has no session wait for one
			s.t.Errorf("%d of 100 frames of the member itself were delivered", got)
		}
		e.hostile.Payload.Features |= protocol.FeatureBridge
		s.crowd.Play(e.hostile.MeetAgain)
		time.Sleep(5 * time.Second)
		if got := e.send(100, hosts); got != 80 {
			s.t.Errorf("%d of 100 frames of hosts behind a bridge were delivered, want 80", got)
		}
		s.check("bridge permission", "the frames")
	})
}

// hosts returns how many hosts the edge has learned behind others.
func (e *ether) hosts() (n int) {
	peers, err := e.crowd.Edge.Peers(e.t.Context())
	if err != nil {
		e.t.Fatal(err)
	}
	for _, p := range peers {
		n += p.Hosts
	}
	return n
}

// victims returns the addresses that the i-th frame claims: those of an honest member, or
// of the edge itself.
func (e *ether) victims(i int) (ip [4]byte, ula netip.Addr, mac protocol.MAC) {
	c := e.crowd.Community()
	if i/20%2 == 0 {
		return e.honest.Lease.Addr().As4(), c.ULA(e.honest.Identity().ID).Addr(), e.honest.MAC
	}
	return [4]byte{10, 64, 0, 200}, c.ULA(e.crowd.Identity().ID).Addr(), e.crowd.MAC // the first is nobody's, of the supernode's network
}

// TestAddressTheft has a plain member claim the addresses of others by ARP, neighbour
// discovery and DHCP, a thousand times each, and serve DHCP and routes. None is believed;
// what it says of itself is.
func TestAddressTheft(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		e := newEther(s)
		for name, frame := range map[string]func(m *sim.CrowdMember, i int) protocol.Frame{
			"ARP": e.arpTheft, "neighbour discovery": e.neighbourTheft, "DHCP": e.dhcpTheft, "advertisements": e.advertisement,
		} {
			if got := e.send(1000, frame); got != 0 {
				s.t.Errorf("%s: %d of 1000 were delivered", name, got)
			}
		}
		for name, frame := range map[string]func(m *sim.CrowdMember, i int) protocol.Frame{
			"ARP": func(m *sim.CrowdMember, i int) protocol.Frame {
				return arp(e.to(i), m.MAC, m.MAC, m.Lease.Addr().As4())
			},
			"neighbour discovery": func(m *sim.CrowdMember, i int) protocol.Frame {
				own := s.crowd.Community().ULA(m.Identity().ID).Addr()
				return discovery(e.to(i), m.MAC, 136, own, own, 2, m.MAC)
			},
			"DHCP": func(m *sim.CrowdMember, i int) protocol.Frame { return dhcp(e.to(i), m.MAC, 1, m.MAC) },
		} {
			if got := e.send(100, frame); got < 80 {
				s.t.Errorf("%s: %d of 100 about itself were delivered", name, got)
			}
		}
		status, err := s.crowd.Edge.Status(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if told := status.Drops; told["address-theft"] == 0 || told["foreign-claim"] == 0 || told["dhcp-server"] == 0 || told["router"] == 0 {
			s.t.Errorf("drops %v", told)
		}
		s.check("address theft", "the claims")
	})
}

func (e *ether) arpTheft(m *sim.CrowdMember, i int) protocol.Frame {
	ip, _, mac := e.victims(i)
	if i/40%2 == 0 {
		mac = m.MAC
	}
	return arp(e.to(i), m.MAC, mac, ip)
}

func (e *ether) neighbourTheft(m *sim.CrowdMember, i int) protocol.Frame {
	_, ula, mac := e.victims(i)
	local := netip.MustParseAddr("fe80::1234")
	switch i / 40 % 4 {
	case 0:
		return discovery(e.to(i), m.MAC, 136, local, ula, 2, m.MAC)
	case 1:
		return discovery(e.to(i), m.MAC, 135, ula, local, 1, m.MAC)
	case 2:
		return discovery(e.to(i), m.MAC, 135, netip.IPv6Unspecified(), ula, 1, m.MAC)
	}
	return discovery(e.to(i), m.MAC, 136, local, local, 2, mac)
}

func (e *ether) dhcpTheft(m *sim.CrowdMember, i int) protocol.Frame {
	_, _, mac := e.victims(i)
	return dhcp(e.to(i), m.MAC, byte(1+i/40%2), mac)
}

func (e *ether) advertisement(m *sim.CrowdMember, i int) protocol.Frame {
	local := netip.MustParseAddr("fe80::1234")
	f := discovery(e.to(i), m.MAC, 134, local, local, 1, m.MAC)
	if i/40%2 == 0 { // behind a header, in a fragment
		f[20] = 44
		f = slices.Insert(f, 54, 58, 0, 0, 1, 0, 0, 0, 1)
		binary.BigEndian.PutUint16(f[18:], binary.BigEndian.Uint16(f[18:])+8)
	}
	return f
}

func arp(dst, src, sender protocol.MAC, ip [4]byte) protocol.Frame {
	return build(dst[:], src[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, sender[:], ip[:], dst[:], []byte{10, 64, 0, 1})
}

func discovery(dst, src protocol.MAC, message byte, from, target netip.Addr, option byte, mac protocol.MAC) protocol.Frame {
	f, to, t := from.As16(), netip.MustParseAddr("ff02::1").As16(), target.As16()
	return build(dst[:], src[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}, f[:], to[:], []byte{message, 0, 0, 0, 0, 0, 0, 0}, t[:], []byte{option, 1}, mac[:])
}

func dhcp(dst, src protocol.MAC, op byte, client protocol.MAC) protocol.Frame {
	body := make([]byte, 240)
	body[0], body[1], body[2] = op, 1, 6
	copy(body[28:], client[:])
	ports := map[byte][]byte{1: {0, 68, 0, 67}, 2: {0, 67, 0, 68}}[op]
	return build(dst[:], src[:], []byte{8, 0, 0x45, 0, 1, 12, 0, 0, 0, 0, 64, 17, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}, ports, []byte{0, 248, 0, 0}, body)
}

// TestStormCrafted has a member flood 100,000 frames within a second, which limits
// nothing at its own end: the budget is delivered, and what an honest member floods
// and says passes.
func TestStormCrafted(t *testing.T) {
	newVerdicts(t).inScene(func(s *edgeScene) {
		e := newEther(s)
		var honest atomic.Int64
		before := e.delivered.Load()
		s.crowd.Observe(func(frame []byte) {
			switch f := protocol.Frame(frame); {
			case f.Src() == e.hostile.MAC:
				e.delivered.Add(1)
			case f.Src() == e.honest.MAC && f.Dst().IsGroup():
				honest.Add(1)
			}
		})
		const batches, each = 1000, 100
		for i := range batches {
			s.crowd.Play(func() {
				for k := range each {
					pkt, err := e.hostile.Flood(build(protocol.Broadcast[:], e.hostile.MAC[:], []byte{0x88, 0xb5, byte(k)}, marker))
					e.hostile.Send(k&1 == 0, pkt, err)
				}
				if i%10 == 0 {
					pkt, err := e.honest.Flood(arp(protocol.Broadcast, e.honest.MAC, e.honest.MAC, e.honest.Lease.Addr().As4()))
					e.honest.Send(i%20 == 0, pkt, err)
				}
			})
			synctest.Wait()
			time.Sleep(time.Millisecond)
		}
		most := bridge.DefaultStorm * 5 / 4 * 3 // two seconds at once, and one second
		if got := int(e.delivered.Load() - before); got > most+5 || got < most*9/10 {
			s.t.Errorf("%d of %d frames were delivered, want %d", got, batches*each, most)
		}
		if got := honest.Load(); got != batches/10 {
			s.t.Errorf("%d of %d ARP of the honest member", got, batches/10)
		}
		s.alive("storm", "the storm")
		s.check("storm", "the storm")
	})
}
