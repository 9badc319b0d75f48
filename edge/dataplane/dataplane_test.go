package dataplane

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"

	"hedgerow/protocol"
)

// host returns the address of a host that is behind an edge.
func host(n byte) protocol.MAC { return protocol.MAC{0x52, 0x54, 0, 0, 0, n} }

// unicastFrames are frames from one edge to another, by what is special about
// them.
func unicastFrames(dst, src protocol.MAC) map[string][]byte {
	return map[string][]byte{
		"IPv4, elided":         ethernet(dst, src, protocol.EtherTypeIPv4, 1000),
		"IPv6, elided":         ethernet(dst, src, protocol.EtherTypeIPv6, 1000),
		"IPv4 in a VLAN":       ethernet(dst, src, protocol.EtherTypeIPv4, 1000, 0x6123),
		"IPv6 in a VLAN":       ethernet(dst, src, protocol.EtherTypeIPv6, 1000, 0xe001),
		"two tags, full":       ethernet(dst, src, protocol.EtherTypeIPv4, 1000, 5, 6),
		"ARP, full":            ethernet(dst, src, 0x0806, 46),
		"ARP in a VLAN":        ethernet(dst, src, 0x0806, 46, 7),
		"802.3 with a length":  ethernet(dst, src, 38, 46),
		"nothing but a header": ethernet(dst, src, protocol.EtherTypeIPv4, 0),
		"one byte":             ethernet(dst, src, protocol.EtherTypeIPv6, 1),
		"MTU 1370":             ethernet(dst, src, protocol.EtherTypeIPv4, 1370),
		"MTU 1500":             ethernet(dst, src, protocol.EtherTypeIPv4, 1500),
		"MTU 1500 in a VLAN":   ethernet(dst, src, protocol.EtherTypeIPv4, 1500, 9),
		"MTU 9000":             ethernet(dst, src, protocol.EtherTypeIPv6, 9000),
		"MTU 9000, full":       ethernet(dst, src, 0x1234, 9000),
		"from a host behind":   ethernet(dst, host(src[5]), protocol.EtherTypeIPv4, 1500),
	}
}

// floodFrames are frames for everybody.
func floodFrames(src protocol.MAC) map[string][]byte {
	return map[string][]byte{
		"broadcast":                ethernet(protocol.Broadcast, src, 0x0806, 46),
		"broadcast in a VLAN":      ethernet(protocol.Broadcast, src, 0x0806, 46, 12),
		"IPv6 multicast":           ethernet(protocol.MAC{0x33, 0x33, 0, 0, 0, 1}, src, protocol.EtherTypeIPv6, 90),
		"broadcast of MTU 1500":    ethernet(protocol.Broadcast, src, protocol.EtherTypeIPv4, 1500),
		"broadcast of MTU 9000":    ethernet(protocol.Broadcast, src, protocol.EtherTypeIPv4, 9000),
		"unknown unicast":          ethernet(host(200), src, protocol.EtherTypeIPv4, 700),
		"unknown unicast MTU 9000": ethernet(host(201), src, protocol.EtherTypeIPv4, 9000),
	}
}

// carriages are the ways that frames between two members may take.
var carriages = map[string]func(testing.TB) (*rig, *member, *member){
	"direct":  pair,
	"relayed": relayedPair,
	"on both paths": func(tb testing.TB) (*rig, *member, *member) {
		r, a, b := relayedPair(tb)
		r.direct(a, b)
		a.reroute(b, func(p *Route) { p.Dual = true })
		b.reroute(a, func(p *Route) { p.Dual = true })
		return r, a, b
	},
	"without a session": func(tb testing.TB) (*rig, *member, *member) {
		r, a, b := relayedPair(tb)
		a.reroute(b, func(p *Route) { p.Session = nil })
		b.reroute(a, func(p *Route) { p.Session = nil })
		return r, a, b
	},
	"ChaCha20-Poly1305": func(tb testing.TB) (*rig, *member, *member) {
		return pairOf(newRigOf(tb, testCommunity(), protocol.XFDataChaCha, protocol.XFGroupChaCha, 2))
	},
	"in clear": func(tb testing.TB) (*rig, *member, *member) {
		c := testCommunity()
		c.Insecure = true
		return pairOf(newRigOf(tb, c, protocol.XFNull, protocol.XFNull, 2))
	},
	"without a mask": func(tb testing.TB) (*rig, *member, *member) {
		r := newRig(tb, 2)
		r.members[0].mask, r.members[1].mask = nil, nil
		return pairOf(r)
	},
}

func pairOf(r *rig) (*rig, *member, *member) {
	a, b := r.members[0], r.members[1]
	r.join(a, b)
	r.direct(a, b)
	return r, a, b
}

// TestFramesArrive sends every kind of frame every way, in both directions,
// and wants each once and unchanged.
func TestFramesArrive(t *testing.T) {
	for name, build := range carriages {
		t.Run(name, func(t *testing.T) {
			r, a, b := build(t)
			for _, ends := range [][2]*member{{a, b}, {b, a}} {
				from, to := ends[0], ends[1]
				for what, f := range unicastFrames(to.self, from.self) {
					r.arrives(t, what, f, from, to)
				}
				for what, f := range floodFrames(from.self) {
					r.arrives(t, what, f, from, to)
				}
			}
		})
	}
}

// arrives sends a frame and fails unless it comes out just once at each of
// the receivers, and no other counter than that of repeated packets moves.
func (r *rig) arrives(t *testing.T, what string, frame []byte, from *member, to ...*member) {
	t.Helper()
	from.send(r.now, frame)
	r.carry()
	for _, m := range to {
		if got := m.device.take(); len(got) != 1 || !bytes.Equal(got[0], frame) {
			t.Errorf("%s of %d bytes came %d times or changed", what, len(frame), len(got))
		}
	}
	for i, m := range r.members {
		drops := m.drops.nonzero()
		delete(drops, DropReplay.String())
		if len(drops) > 0 {
			t.Errorf("%s: member %d dropped %v", what, i, drops)
		}
		m.undrop()
		m.events()
	}
}

// TestDatagramSizes holds the overheads of PROTOCOL.md, section 3, and that no
// datagram is longer than its path.
func TestDatagramSizes(t *testing.T) {
	const ip = 1000
	overhead := map[string][3]int{ // elided, full, broadcast; over the IP packet
		"direct":  {33, 47, 71},
		"relayed": {65, 79, 103},
	}
	limit := map[string]int{"direct": MaxDatagramIPv4, "relayed": MaxDatagramRelayed}
	for name, want := range overhead {
		r, a, b := carriages[name](t)
		for i, f := range [][]byte{
			ethernet(b.self, a.self, protocol.EtherTypeIPv4, ip),
			ethernet(b.self, host(1), protocol.EtherTypeIPv4, ip),
			ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, ip),
		} {
			if got := r.capture(a, f); len(got) != 1 || len(got[0]) != ip+want[i] {
				t.Errorf("%s %d: %d datagrams, the first with %d bytes over the IP packet, want %d", name, i, len(got), len(got[0])-ip, want[i])
			}
		}
		longest := 0
		for n := range 400 {
			for _, dst := range []protocol.MAC{b.self, protocol.Broadcast} {
				for _, pkt := range r.capture(a, ethernet(dst, a.self, protocol.EtherTypeIPv4, 1300+n)) {
					longest = max(longest, len(pkt))
				}
			}
		}
		if longest != limit[name] {
			t.Errorf("%s: the longest datagram has %d bytes, the path takes %d", name, longest, limit[name])
		}
	}
}

// TestPieceSizes holds that the pieces of a frame have one size but for the
// last, so that a run of them is one GSO message.
func TestPieceSizes(t *testing.T) {
	for name, build := range map[string]func(testing.TB) (*rig, *member, *member){"direct": pair, "relayed": relayedPair} {
		for _, n := range []int{1500, 3000, 9000} {
			r, a, b := build(t)
			got := r.capture(a, ethernet(b.self, host(1), protocol.EtherTypeIPv4, n))
			want := protocol.PieceCount(1+protocol.EthernetLen+n, MaxDatagramRelayed-protocol.RelayOverhead-protocol.HeaderLen-protocol.TagLen)
			if name == "direct" {
				want = protocol.PieceCount(1+protocol.EthernetLen+n, MaxDatagramIPv4-protocol.HeaderLen-protocol.TagLen)
			}
			if len(got) != want {
				t.Errorf("%s %d: %d pieces, want %d", name, n, len(got), want)
			}
			for i, pkt := range got[1:] {
				if len(pkt) > len(got[0]) || (i+2 < len(got) && len(pkt) != len(got[0])) {
					t.Errorf("%s %d: piece %d has %d bytes, the first %d", name, n, i+1, len(pkt), len(got[0]))
				}
			}
		}
	}
}

// TestFlood sends floods in a community where some are reached directly, some
// by relay and some by two relays, and wants one copy at each.
func TestFlood(t *testing.T) {
	for hubs := 1; hubs <= 3; hubs++ {
		r := newRig(t, 4)
		a, b := r.members[0], r.members[1]
		for i, m := range r.members {
			for _, other := range r.members[i+1:] {
				r.join(m, other)
			}
		}
		for range hubs {
			r.hub()
		}
		r.direct(a, b)
		for what, f := range floodFrames(a.self) {
			r.arrives(t, what, f, a, r.members[1:]...)
		}
	}
}

// TestFloodExceptDirect checks that the supernode is asked to leave out those
// that are reached directly, once it knows them, and that they miss nothing.
func TestFloodExceptDirect(t *testing.T) {
	r := newRig(t, 3)
	a, b, c := r.members[0], r.members[1], r.members[2]
	r.join(a, b)
	r.join(a, c)
	h := r.hub()
	r.direct(a, b)
	frame := ethernet(protocol.Broadcast, a.self, 0x0806, 46)
	r.arrives(t, "before DIRECT", frame, a, b, c)
	if h.flags != 0 {
		t.Errorf("flags %v before the supernode knows the set", h.flags)
	}
	h.direct[a] = []*member{b}
	hop := *a.links[h].hop.Load()
	hop.DirectSet = true
	a.links[h].SetRoute(hop)
	a.send(r.now, frame)
	r.carry()
	if h.flags != protocol.FlagExceptDirect {
		t.Errorf("flags %v, want ExceptDirect", h.flags)
	}
	for _, m := range []*member{b, c} {
		if got := m.device.take(); len(got) != 1 {
			t.Errorf("%d copies", len(got))
		}
		if got := m.drops.nonzero(); len(got) != 0 {
			t.Errorf("drops %v: a copy was sent in vain", got)
		}
	}
}

// TestLongBatch sends more pieces in one batch than there are buffers for.
func TestLongBatch(t *testing.T) {
	for name, build := range carriages {
		t.Run(name, func(t *testing.T) {
			r, a, b := build(t)
			batch := make([][]byte, 32)
			for i := range batch {
				dst := b.self
				if i%3 == 1 {
					dst = protocol.Broadcast
				}
				batch[i] = ethernet(dst, a.self, protocol.EtherTypeIPv4, 8000+i*30)
			}
			a.readAll(t, batch)
			r.carry()
			b.delivered(t, batch)
		})
	}
}

// TestLongFlood floods more in one batch, through three supernodes, than there
// are buffers for.
func TestLongFlood(t *testing.T) {
	r := newRig(t, 2)
	a, b := r.members[0], r.members[1]
	r.join(a, b)
	for range 3 {
		r.hub()
	}
	batch := make([][]byte, 32)
	for i := range batch {
		batch[i] = ethernet(protocol.Broadcast, a.self, 0x0806, 50+i*30)
	}
	a.readAll(t, batch)
	r.carry()
	b.delivered(t, batch)
}

// TestCounters checks what status shows of the traffic.
func TestCounters(t *testing.T) {
	r, a, b := pair(t)
	sizes := 0
	for i := range 5 {
		f := ethernet(b.self, a.self, protocol.EtherTypeIPv4, 100+i)
		sizes += len(f)
		a.send(r.now, f)
	}
	r.carry()
	want := fmt.Sprint(5, sizes, sizes)
	if got := fmt.Sprint(a.total.txFrames.Load(), a.total.txBytes.Load(), a.view[b].count.txBytes.Load()); got != want {
		t.Errorf("sender: %s, want %s", got, want)
	}
	if got := fmt.Sprint(b.total.rxFrames.Load(), b.total.rxBytes.Load(), b.view[a].count.rxBytes.Load()); got != want {
		t.Errorf("receiver: %s, want %s", got, want)
	}
	now := a.Since(r.now)
	if used := a.view[b].count.used.Load(); used != now {
		t.Errorf("sender: used at %d, want %d", used, now)
	}
	count := &b.view[a].count
	if count.used.Load() != now || count.heard.Load() != now {
		t.Errorf("receiver: used %d, heard %d, want %d", count.used.Load(), count.heard.Load(), now)
	}
}

// TestIPv6Path checks that datagrams over IPv6 are no longer than fits there.
func TestIPv6Path(t *testing.T) {
	r, a, b := pair(t)
	a.reroute(b, func(p *Route) {
		p.Direct, p.Limit = netip.MustParseAddrPort("[2001:db8::2]:4000"), MaxDatagramIPv6
	})
	for _, pkt := range r.capture(a, ethernet(b.self, a.self, protocol.EtherTypeIPv4, 1439)) {
		if len(pkt) > MaxDatagramIPv6 {
			t.Errorf("%d bytes over IPv6", len(pkt))
		}
	}
}
