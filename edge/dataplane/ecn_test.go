package dataplane

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"hedgerow/protocol"
	"hedgerow/transport"
)

// ipFrame returns a frame with an IP packet of a TOS and n bytes of payload, of IPv4 or of
// IPv6.
func ipFrame(dst, src protocol.MAC, six bool, tos uint8, n int, tags ...uint16) []byte {
	headers, kind := 20, uint16(protocol.EtherTypeIPv4)
	if six {
		headers, kind = 40, protocol.EtherTypeIPv6
	}
	f := ethernet(dst, src, kind, headers+n, tags...)
	ip := f[len(f)-headers-n:]
	clear(ip[:headers])
	if six {
		binary.BigEndian.PutUint16(ip, 0x6000|uint16(tos)<<4)
		binary.BigEndian.PutUint16(ip[4:], uint16(n))
		ip[6], ip[7] = 253, 64 // for experiments (RFC 3692)
		return f
	}
	ip[0], ip[1], ip[8], ip[9] = 0x45, tos, 64, 253
	binary.BigEndian.PutUint16(ip[2:], uint16(headers+n))
	binary.BigEndian.PutUint16(ip[10:], ^folded(ip[:20], 0))
	return f
}

// ecnFrames builds the same frame in each of the shapes that have an ECN field.
var ecnFrames = map[string]func(dst, src protocol.MAC, tos uint8) []byte{
	"IPv4": func(dst, src protocol.MAC, tos uint8) []byte { return ipFrame(dst, src, false, tos, 60) },
	"IPv6": func(dst, src protocol.MAC, tos uint8) []byte { return ipFrame(dst, src, true, tos, 60) },
	"IPv4, tagged": func(dst, src protocol.MAC, tos uint8) []byte {
		return ipFrame(dst, src, false, tos, 60, 7)
	},
	"IPv6, two tags": func(dst, src protocol.MAC, tos uint8) []byte { return ipFrame(dst, src, true, tos, 60, 7, 8) },
}

// receiveTOS has a member read datagrams that come with a TOS each, in one batch.
func (m *member) receiveTOS(t testing.TB, from *member, pkts [][]byte, tos func(i int) uint8) {
	t.Helper()
	var batch []transport.Datagram
	for i, pkt := range pkts {
		batch = append(batch, transport.Datagram{Buf: pkt, N: len(pkt), Addr: from.addr, TOS: tos(i)})
	}
	for part := range slices.Chunk(batch, batchBuffers) {
		m.conn.batches = append(m.conn.batches, part)
	}
	m.receiveAll(t)
}

// TestECNTable is figure 4 of RFC 6040, section 4.2: the ECN field of a frame by its own
// and by that of its packet. The DSCP of the packet says nothing to the frame.
func TestECNTable(t *testing.T) {
	const dropped = 0xff
	for _, row := range []struct{ inner, outer, want uint8 }{
		{0b00, 0b00, 0b00}, {0b00, 0b10, 0b00}, {0b00, 0b01, 0b00}, {0b00, 0b11, dropped},
		{0b10, 0b00, 0b10}, {0b10, 0b10, 0b10}, {0b10, 0b01, 0b01}, {0b10, 0b11, 0b11},
		{0b01, 0b00, 0b01}, {0b01, 0b10, 0b01}, {0b01, 0b01, 0b01}, {0b01, 0b11, 0b11},
		{0b11, 0b00, 0b11}, {0b11, 0b10, 0b11}, {0b11, 0b01, 0b11}, {0b11, 0b11, 0b11},
	} {
		for name, build := range ecnFrames {
			const inside, outside = 10 << 2, 46 << 2 // DSCPs AF11 and EF
			t.Run(fmt.Sprintf("%s %02b in %02b", name, row.inner, row.outer), func(t *testing.T) {
				r, a, b := pair(t)
				pkts := r.capture(a, build(b.self, a.self, inside|row.inner))
				b.receiveTOS(t, a, pkts, func(int) uint8 { return outside | row.outer })
				if row.want == dropped {
					b.delivered(t, nil)
					b.dropped(t, DropMarked)
					return
				}
				b.delivered(t, [][]byte{build(b.self, a.self, inside|row.want)})
				if drops := b.drops.nonzero(); len(drops) != 0 {
					t.Errorf("drops %v", drops)
				}
			})
		}
	}
}

// A frame that is no IP has no ECN field: it comes as it was sent, in a packet with any.
func TestECNOfOtherFrames(t *testing.T) {
	for outer := range uint8(4) {
		r, a, b := pair(t)
		frame := ethernet(b.self, a.self, 0x88b5, 100)
		b.receiveTOS(t, a, r.capture(a, frame), func(int) uint8 { return outer })
		b.delivered(t, [][]byte{frame})
	}
}

// The packets of a frame have its ECN field where both the peer and, if it is asked, the
// supernode look at it; else, and in GROUP packets, they have none. Its DSCP stays inside.
func TestECNOutside(t *testing.T) {
	for name, build := range carriages {
		for _, knows := range []struct{ peer, supernode bool }{{true, true}, {true, false}, {false, true}} {
			for kind, frame := range ecnFrames {
				r, a, b := build(t)
				a.reroute(b, func(p *Route) { p.ECN = knows.peer })
				for _, l := range a.links {
					hop := *l.hop.Load()
					hop.ECN = knows.supernode
					l.SetRoute(hop)
				}
				for inner := range uint8(4) {
					a.send(r.now, frame(b.self, a.self, 46<<2|inner))
					sent := a.conn.take()
					if len(sent) == 0 {
						t.Fatalf("%s: nothing was sent", name)
					}
					for _, d := range sent {
						want := uint8(0)
						if knows.peer && (d.to == b.addr || knows.supernode) && a.view[b].Route().Session != nil {
							want = inner
						}
						if d.tos != want {
							t.Errorf("%s, %s, %+v: ECN %02b goes to %v in %02b, want %02b", name, kind, knows, inner, d.to, d.tos, want)
						}
					}
				}
			}
		}
	}
}

// Of a train of segments those are marked whose datagrams are: what is joined of the
// others is not, and nothing is lost or out of order.
func TestMarkInATrain(t *testing.T) {
	const size, count = 1318, batchBuffers
	r, a, b := pair(t)
	r.offloading()
	a.reroute(b, func(p *Route) { p.ECN = true })
	sent := super(b.self, a.self, 6, count*size, size)
	ip := sent.frame[protocol.EthernetLen:]
	ip[1] = ecnECT0
	binary.BigEndian.PutUint16(ip[10:], 0)
	binary.BigEndian.PutUint16(ip[10:], ^folded(ip[:20], 0))
	payload := bytes.Clone(ip[52:])
	if trains := r.sendSuper(a, sent); len(trains) != 1 {
		t.Errorf("trains %v", trains)
	}
	var pkts [][]byte
	for _, d := range a.conn.take() {
		if pkts = append(pkts, d.pkt); d.tos != ecnECT0 {
			t.Errorf("a segment goes in ECN %02b", d.tos)
		}
	}
	b.receiveTOS(t, a, pkts, func(i int) uint8 {
		if i == 3 || i == 4 {
			return ecnCE
		}
		return ecnECT0
	})
	var got []string
	var joined []byte
	for _, f := range b.device.take() {
		ip := f[protocol.EthernetLen:]
		got = append(got, fmt.Sprintf("%d of %02b", (len(ip)-52)/size, ip[1]))
		joined = append(joined, ip[52:]...)
		if folded(ip[:20], 0) != 0xffff {
			t.Errorf("a wrong IPv4 checksum")
		}
	}
	if want := []string{"3 of 10", "2 of 11", "3 of 10"}; !slices.Equal(got, want) || !bytes.Equal(joined, payload) {
		t.Errorf("%v came, want %v", got, want)
	}
}

// A frame that goes in pieces is marked when one of them is, and dropped then if its flow
// knows no marks.
func TestMarkOnAPiece(t *testing.T) {
	for _, tt := range []struct {
		inner, want uint8
		drops       uint64
	}{{ecnECT0, ecnCE, 0}, {ecnECT1, ecnCE, 0}, {ecnNone, ecnNone, 1}} {
		for marked := range 3 {
			r, a, b := pair(t)
			a.reroute(b, func(p *Route) { p.ECN = true })
			var pkts [][]byte
			a.send(r.now, ipFrame(b.self, a.self, false, tt.inner, 3500))
			for _, d := range a.conn.take() {
				if pkts = append(pkts, d.pkt); d.tos != tt.inner {
					t.Errorf("a piece goes in ECN %02b, want %02b", d.tos, tt.inner)
				}
			}
			if len(pkts) != 3 {
				t.Fatalf("%d pieces", len(pkts))
			}
			// Another frame behind it, in the same datagrams, is not marked.
			pkts = append(pkts, r.capture(a, ipFrame(b.self, a.self, false, tt.inner, 50))...)
			b.receiveTOS(t, a, pkts, func(i int) uint8 {
				if i == marked {
					return ecnCE
				}
				return tt.inner
			})
			want := [][]byte{ipFrame(b.self, a.self, false, tt.want, 3500), ipFrame(b.self, a.self, false, tt.inner, 50)}
			b.delivered(t, want[tt.drops:])
			if n := b.drops.Count(DropMarked); n != tt.drops {
				t.Errorf("%d dropped, want %d", n, tt.drops)
			}
		}
	}
}

// A train has one TOS: what is to leave with another one is another train, in the order in
// which it came.
func TestGatherTOS(t *testing.T) {
	conn := &memoryConn{}
	g := newGather(conn, controlLane, nil)
	for i, tos := range []uint8{0, 0, 2, 2, 2, 0, 3} {
		g.next.tos = tos
		copy(g.slot(destination(1), conn.addr.Addr(), 50, 0), []byte{byte(i)})
	}
	var got []string
	for _, d := range g.batch {
		got = append(got, fmt.Sprint(d.N, d.TOS))
	}
	if want := []string{"100 0", "150 2", "50 0", "50 3"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	g.flush()
	for i, d := range conn.sent {
		if int(d.pkt[0]) != i {
			t.Errorf("packet %d is out of order", d.pkt[0])
		}
	}
}

// With --tos inherit the DSCP of a frame is that of its packets on every path, floods
// included, whoever looks at the ECN field; other frames have none, and so have packets
// of the control loop.
func TestInheritedDSCP(t *testing.T) {
	r := &rig{tb: t, community: testCommunity(), pairXF: protocol.XFDataGCM, groupXF: protocol.XFGroupGCM, now: noon, index: 0x1000, inherits: true}
	a, b := r.add(1), r.add(2)
	r.join(a, b)
	r.hub()
	for _, path := range []string{"relayed", "direct"} {
		if path == "direct" {
			r.direct(a, b)
		}
		for _, ecn := range []bool{true, false} {
			a.reroute(b, func(p *Route) { p.ECN = ecn })
			for _, dst := range []protocol.MAC{b.self, protocol.Broadcast} {
				for name, build := range ecnFrames {
					want := uint8(46 << 2)
					if ecn && path == "direct" && dst == b.self {
						want |= ecnECT0
					}
					a.send(r.now, build(dst, a.self, 46<<2|ecnECT0))
					for _, d := range a.conn.take() {
						if d.tos != want {
							t.Errorf("%s %s to %v, ECN %t: %#x, want %#x", path, name, dst, ecn, d.tos, want)
						}
					}
				}
				a.send(r.now, ethernet(dst, a.self, 0x88b5, 100))
				for _, d := range a.conn.take() {
					if d.tos != 0 {
						t.Errorf("a frame that is no IP goes with %#x", d.tos)
					}
				}
			}
		}
	}
}
