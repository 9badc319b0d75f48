package dataplane

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"hedgerow/edge/bridge"
	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// plain makes the peers of a member plain edges, which speak for themselves only, and
// the member one itself; limit is that of storm control.
func (m *member) plain(limit int) {
	m.Plane.guard = newGuard(&Config{Bridge: false, Storm: limit}, m.Plane)
	for _, v := range m.view {
		v.SetStanding(Standing{})
	}
}

// Who has which address: the peer a and a third member those of their names, b its own.
var (
	leaseOfA = netip.MustParseAddr("10.64.0.7")
	ulaOfA   = netip.MustParseAddr("fd00::7")
	leaseOfC = netip.MustParseAddr("10.64.0.9")
	ulaOfC   = netip.MustParseAddr("fd00::9")
	ownOfB   = netip.MustParseAddr("10.64.0.1")
	strange  = netip.MustParseAddr("192.168.7.7")
)

func arpFrame(dst, src, sender protocol.MAC, ip netip.Addr) []byte {
	a := ip.As4()
	return slices.Concat(dst[:], src[:], []byte{8, 6, 0, 1, 8, 0, 6, 4, 0, 2}, sender[:], a[:], dst[:], []byte{10, 64, 0, 1}, make([]byte, 18))
}

// icmpFrame is an ICMPv6 message about a target, with the option that holds a sender's
// hardware address.
func icmpFrame(dst, src protocol.MAC, message byte, from, target netip.Addr, option byte, mac protocol.MAC) []byte {
	f, to, t := from.As16(), netip.MustParseAddr("ff02::1").As16(), target.As16()
	return slices.Concat(dst[:], src[:], []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 32, 58, 255}, f[:], to[:],
		[]byte{message, 0, 0, 0, 0, 0, 0, 0}, t[:], []byte{option, 1}, mac[:])
}

// dhcpFrame is a DHCP message, op 1 of a client and 2 of a server.
func dhcpFrame(dst, src protocol.MAC, op byte, client protocol.MAC) []byte {
	body := make([]byte, 240)
	body[0], body[1], body[2] = op, 1, 6
	copy(body[28:], client[:])
	ports := map[byte][]byte{1: {0, 68, 0, 67}, 2: {0, 67, 0, 68}}[op]
	return slices.Concat(dst[:], src[:], []byte{8, 0, 0x45, 0, 1, 12, 0, 0, 0, 0, 64, 17, 0, 0, 10, 64, 0, 7, 255, 255, 255, 255}, ports, []byte{0, 248, 0, 0}, body)
}

// TestGuard gives a plain edge what another plain edge says about addresses, directly
// and by a supernode, in a session and as floods.
func TestGuard(t *testing.T) {
	here := netip.MustParseAddr("fe80::1")
	for _, c := range []struct {
		name  string
		frame func(a, b, c *member, dst protocol.MAC) []byte
		want  DropReason // DropReasons: delivered
	}{
		{"its own lease", func(a, _, _ *member, dst protocol.MAC) []byte { return arpFrame(dst, a.self, a.self, leaseOfA) }, DropReasons},
		{"an address that nobody has", func(a, _, _ *member, dst protocol.MAC) []byte { return arpFrame(dst, a.self, a.self, strange) }, DropReasons},
		{"another's lease", func(a, _, _ *member, dst protocol.MAC) []byte { return arpFrame(dst, a.self, a.self, leaseOfC) }, DropAddressTheft},
		{"our own", func(a, _, _ *member, dst protocol.MAC) []byte { return arpFrame(dst, a.self, a.self, ownOfB) }, DropAddressTheft},
		{"one more of the supernode's", func(a, _, _ *member, dst protocol.MAC) []byte {
			return arpFrame(dst, a.self, a.self, netip.MustParseAddr("10.64.0.200"))
		}, DropAddressTheft},
		{"ARP for another", func(a, _, c *member, dst protocol.MAC) []byte { return arpFrame(dst, a.self, c.self, leaseOfC) }, DropForeignClaim},
		{"another's source", func(a, _, c *member, dst protocol.MAC) []byte { return arpFrame(dst, c.self, c.self, leaseOfC) }, DropSpoofedSource},
		{"a host's source", func(a, _, _ *member, dst protocol.MAC) []byte { return arpFrame(dst, host(1), host(1), strange) }, DropNotBridge},
		{"its own IPv6 address", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 136, ulaOfA, ulaOfA, 2, a.self)
		}, DropReasons},
		{"another's IPv6 address", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 136, here, ulaOfC, 2, a.self)
		}, DropAddressTheft},
		{"an IPv6 address of the community that nobody has", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 136, here, netip.MustParseAddr("fd00::77"), 2, a.self)
		}, DropAddressTheft},
		{"another's link-local address", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 135, netip.MustParseAddr("fe80::ff:fe00:3"), ulaOfC, 1, a.self) // 02:00:00:00:00:03
		}, DropAddressTheft},
		{"detection of a duplicate of another's", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 135, netip.IPv6Unspecified(), ulaOfC, 9, a.self)
		}, DropAddressTheft},
		{"a question about another", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 135, ulaOfA, ulaOfC, 1, a.self)
		}, DropReasons},
		{"another's hardware address", func(a, _, c *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 136, here, here, 2, c.self)
		}, DropForeignClaim},
		{"a router", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 134, here, here, 1, a.self)
		}, DropRouter},
		{"a redirect", func(a, _, _ *member, dst protocol.MAC) []byte {
			return icmpFrame(dst, a.self, 137, here, here, 1, a.self)
		}, DropRouter},
		{"a DHCP client", func(a, _, _ *member, dst protocol.MAC) []byte { return dhcpFrame(dst, a.self, 1, a.self) }, DropReasons},
		{"a DHCP client for another", func(a, _, c *member, dst protocol.MAC) []byte { return dhcpFrame(dst, a.self, 1, c.self) }, DropForeignClaim},
		{"a DHCP server", func(a, b, _ *member, dst protocol.MAC) []byte { return dhcpFrame(dst, a.self, 2, b.self) }, DropDHCPServer},
	} {
		for name, relayed := range map[string]bool{"directly": false, "by a supernode": true} {
			for _, group := range []bool{false, true} {
				t.Run(c.name+" "+name, func(t *testing.T) {
					r, a, b, third := guarded3(t, relayed)
					dst := b.self
					if group {
						dst = protocol.Broadcast
					}
					f := c.frame(a, b, third, dst)
					a.send(r.now, f) // a hostile edge: it is a bridge, for all that it checks
					r.carry()
					if c.want == DropReasons {
						b.delivered(t, [][]byte{f})
						return
					}
					b.delivered(t, nil)
					b.dropped(t, c.want)
					if c.want != DropSpoofedSource && b.view[a].Refused() != 1 {
						t.Errorf("%d counted at the peer", b.view[a].Refused())
					}
					if n, _ := b.fdb.Len(); n != 0 {
						t.Error("it was learned from")
					}
				})
			}
		}
	}
}

// guarded3 is a pair with a third member that b knows and has no path to. b is a plain
// edge and believes that a is one; a is a bridge, which checks nothing.
func guarded3(t *testing.T, relayed bool) (r *rig, a, b, c *member) {
	r = newRig(t, 3)
	a, b, c = r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.know(b, c)
	if relayed {
		r.hub()
	} else {
		r.direct(a, b)
	}
	b.plain(0)
	b.view[a].SetStanding(Standing{Subnet: netip.MustParsePrefix("10.64.0.0/24")})
	b.change(func(d *Draft) {
		d.SetHolder(leaseOfA, b.view[a])
		d.SetHolder(ulaOfA, b.view[a])
		d.SetHolder(leaseOfC, b.view[c])
		d.SetHolder(ulaOfC, b.view[c])
		d.SetOwn([]netip.Prefix{netip.PrefixFrom(ownOfB, 24), netip.MustParsePrefix("fd00::1/64")})
	})
	return r, a, b, c
}

// TestGuardOfBridges: a bridge speaks for hosts; servers and routers need a right of
// their own, and frames that hide what they are need both.
func TestGuardOfBridges(t *testing.T) {
	hidden := slices.Concat(protocol.Broadcast[:], make([]byte, 6), []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, 16, 44, 255}, make([]byte, 32), []byte{58, 0, 0, 1, 0, 0, 0, 1, 134}, make([]byte, 7))
	all := bridge.SpeakForHosts | bridge.ServeDHCP | bridge.Advertise
	for _, c := range []struct {
		rights bridge.Rights
		want   []DropReason // of ARP, a DHCP server, a router, a hidden frame
	}{
		{0, []DropReason{DropNotBridge, DropNotBridge, DropNotBridge, DropNotBridge}},
		{bridge.SpeakForHosts, []DropReason{DropReasons, DropDHCPServer, DropRouter, DropHidden}},
		{bridge.SpeakForHosts | bridge.ServeDHCP, []DropReason{DropReasons, DropReasons, DropRouter, DropHidden}},
		{bridge.SpeakForHosts | bridge.Advertise, []DropReason{DropReasons, DropDHCPServer, DropReasons, DropHidden}},
		{all, []DropReason{DropReasons, DropReasons, DropReasons, DropReasons}},
	} {
		r, a, b, _ := guarded3(t, false)
		b.view[a].SetStanding(Standing{Rights: c.rights})
		h := host(4)
		copy(hidden[6:], h[:])
		for i, f := range [][]byte{
			arpFrame(b.self, h, h, leaseOfC), dhcpFrame(b.self, h, 2, b.self),
			icmpFrame(protocol.Broadcast, h, 134, ulaOfC, ulaOfC, 1, h), hidden,
		} {
			a.send(r.now, f)
			r.carry()
			if c.want[i] == DropReasons {
				b.delivered(t, [][]byte{f})
				continue
			}
			b.delivered(t, nil)
			b.dropped(t, c.want[i])
		}
	}
}

// TestHostsOfOthers: a host behind a bridge has no address of an edge that is alone, nor
// ours if we are; one of another bridge may be on the LAN that this one speaks for.
func TestHostsOfOthers(t *testing.T) {
	for _, c := range []struct {
		name       string
		ip         netip.Addr
		alone, are bool // the third member is alone, we are a bridge
		want       bool
	}{
		{"of an edge that is alone", leaseOfC, true, false, false},
		{"of a bridge", leaseOfC, false, false, true},
		{"ours", ownOfB, false, false, false},
		{"ours, who are a bridge", ownOfB, false, true, true},
		{"the bridge's own", leaseOfA, false, false, true},
		{"nobody's", strange, true, false, true},
	} {
		r, a, b, third := guarded3(t, false)
		b.view[a].SetStanding(Standing{Rights: bridge.SpeakForHosts})
		b.view[third].SetStanding(Standing{Alone: c.alone})
		b.Plane.guard = newGuard(&Config{Bridge: c.are}, b.Plane)
		f := arpFrame(b.self, host(1), host(1), c.ip)
		a.send(r.now, f)
		r.carry()
		if got := len(b.device.take()) == 1; got != c.want || !c.want && b.drops.Count(DropAddressTheft) != 1 {
			t.Errorf("%s: delivered is %v", c.name, got)
		}
	}
}

// TestHostsBehindPlainEdge: what hosts send that may not be there goes nowhere, and the
// user is told which.
func TestHostsBehindPlainEdge(t *testing.T) {
	r, a, b := pair(t)
	a.plain(0)
	for range 100 {
		a.send(r.now, ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60))
		a.send(r.now, ethernet(protocol.Broadcast, host(1), 0x0806, 46))
	}
	if got := a.conn.take(); len(got) != 0 || a.drops.Count(DropNoBridge) != 200 {
		t.Errorf("%d datagrams left, %d dropped", len(got), a.drops.Count(DropNoBridge))
	}
	if got := a.events(); len(got) != 1 || got[0] != (Violation{Reason: DropNoBridge, Count: 1, Host: host(1)}) {
		t.Errorf("events %+v", got)
	}
}

// TestStormIsLimited floods a thousand frames at once: the sender lets its budget pass,
// a receiver that is sent all of them a little more, as broadcast, as multicast and to a
// host that nobody knows. ARP has a budget of its own, and unicast pays nothing.
func TestStormIsLimited(t *testing.T) {
	const burst = 2 * bridge.DefaultStorm
	for name, build := range map[string]func(testing.TB) (*rig, *member, *member){"directly": pair, "by a supernode": relayedPair} {
		for what, dst := range map[string]protocol.MAC{"broadcast": protocol.Broadcast, "multicast": {1, 0, 0x5e, 9, 9, 9}, "unknown": host(77)} {
			t.Run(what+" "+name, func(t *testing.T) {
				r, a, b := build(t)
				a.plain(0)
				flood := func(times int, f []byte) int {
					for range times {
						a.send(r.now, f)
					}
					r.carry()
					return len(b.device.take())
				}
				if got := flood(1000, ethernet(dst, a.self, protocol.EtherTypeIPv4, 60)); got != burst || a.drops.Count(DropStormSent) != 1000-burst {
					t.Errorf("the sender let %d pass", got)
				}
				if got := flood(100, arpFrame(protocol.Broadcast, a.self, a.self, strange)); got != 100 {
					t.Errorf("%d of 100 of ARP", got)
				}
				if got := flood(1000, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 60)); got != 1000 {
					t.Errorf("%d of 1000 for one", got)
				}
				told := slices.DeleteFunc(a.events(), func(ev Event) bool { _, ok := ev.(Violation); return !ok })
				if len(told) != 1 || told[0].(Violation).Host != a.self || told[0].(Violation).Reason != DropStormSent {
					t.Errorf("events %+v", told)
				}
				b.plain(0)
				a.Plane.guard = newGuard(&Config{Bridge: false, Storm: -1}, a.Plane) // a hostile one
				r.advance(time.Minute)
				if got := flood(1000, ethernet(dst, a.self, protocol.EtherTypeIPv4, 60)); got != burst*5/4 || b.view[a].Refused() != uint64(1000-got) {
					t.Errorf("the receiver let %d pass", got)
				}
				if got := flood(100, arpFrame(protocol.Broadcast, a.self, a.self, strange)); got != 100 {
					t.Errorf("%d of 100 of ARP at the receiver", got)
				}
			})
		}
	}
}

// TestStormOfSuperFrames counts what a super-frame becomes.
func TestStormOfSuperFrames(t *testing.T) {
	r, a, _ := pair(t)
	a.plain(100)
	f := ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, 40_000)
	buf := make([]byte, bufferLen)
	for range 10 {
		copy(buf[headroom:], f)
		a.out.sendFrame(a.table.Load(), a.Since(r.now), &tap.Frame{
			Buf: buf, Off: headroom, Len: len(f), Offload: offload.Header{GSOType: offload.GSOUDPL4, GSOSize: 1000},
		})
	}
	if got := a.drops.Count(DropStormSent); got != 6 { // 200 at once: four times 41
		t.Errorf("%d of 10 were dropped", got)
	}
}

// TestNoAllocationsForViolations holds that what is dropped costs no memory once it was
// told of.
func TestNoAllocationsForViolations(t *testing.T) {
	_, a, b, third := guarded3(t, false)
	b.device.discard = true
	for name, f := range map[string][]byte{
		"theft":   arpFrame(b.self, a.self, a.self, leaseOfC),
		"foreign": arpFrame(b.self, a.self, third.self, leaseOfC),
		"a host":  ethernet(b.self, host(1), protocol.EtherTypeIPv4, 60),
		"good":    arpFrame(b.self, a.self, a.self, leaseOfA),
		"flooded": ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, 60),
	} {
		var pkts [][]byte
		for range runs + 4 {
			if f[0]&1 != 0 {
				pkts = append(pkts, a.sealGroup(a.group, fullFrame(f)))
			} else {
				pkts = append(pkts, a.seal(b, fullFrame(f)))
			}
		}
		receive := func() {
			b.receive(pkts[0], a.addr)
			pkts = pkts[1:]
		}
		receive()
		receive()
		if n := testing.AllocsPerRun(runs, receive); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
