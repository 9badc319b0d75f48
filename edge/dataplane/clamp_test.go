package dataplane

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"

	"hedgerow/protocol"
	"hedgerow/tap/offload"
)

// segment is a TCP frame to build.
type segment struct {
	dst, src protocol.MAC
	v6       bool
	tags     int
	mss      int // of a SYN; 0: none
	ack      bool
	packet   int // bytes of the IP packet of what is no SYN
}

// build returns the frame, complete with its checksums.
func (s segment) build(tb testing.TB) []byte {
	tb.Helper()
	tcp := &layers.TCP{SrcPort: 40000, DstPort: 443, Seq: 7, ACK: s.ack || s.mss == 0, SYN: s.mss > 0, Window: 65535}
	if s.mss > 0 {
		tcp.Options = []layers.TCPOption{
			{OptionType: layers.TCPOptionKindNop},
			{OptionType: layers.TCPOptionKindMSS, OptionLength: 4, OptionData: []byte{byte(s.mss >> 8), byte(s.mss)}},
		}
	}
	var network gopacket.SerializableLayer
	etherType, headers := layers.EthernetTypeIPv4, 40
	if s.v6 {
		etherType, headers = layers.EthernetTypeIPv6, 60
		ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: layers.IPProtocolTCP, SrcIP: net.ParseIP("fd00::1"), DstIP: net.ParseIP("fd00::2")}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		network = ip
	} else {
		ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolTCP, SrcIP: net.IP{10, 64, 0, 1}, DstIP: net.IP{10, 64, 0, 2}}
		_ = tcp.SetNetworkLayerForChecksum(ip)
		network = ip
	}
	all := []gopacket.SerializableLayer{nil}
	first := etherType
	for range s.tags {
		all = append(all, &layers.Dot1Q{VLANIdentifier: 5, Type: first})
		first = layers.EthernetTypeDot1Q
	}
	all[0] = &layers.Ethernet{SrcMAC: s.src[:], DstMAC: s.dst[:], EthernetType: first}
	if s.tags == 2 {
		all[1].(*layers.Dot1Q).Type, all[2].(*layers.Dot1Q).Type = layers.EthernetTypeDot1Q, etherType
	}
	body := gopacket.Payload(make([]byte, max(0, s.packet-headers)))
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, append(all, network, tcp, body)...); err != nil {
		tb.Fatal(err)
	}
	return out.Bytes()
}

// announcedMSS returns the MSS of a frame, and whether its checksum is right.
func announcedMSS(tb testing.TB, frame []byte) (mss int, right bool) {
	tb.Helper()
	p := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if !ok {
		tb.Fatalf("no TCP: %v", p)
	}
	for _, o := range tcp.Options {
		if o.OptionType == layers.TCPOptionKindMSS {
			mss = int(o.OptionData[0])<<8 | int(o.OptionData[1])
		}
	}
	return mss, offload.Verify(frame)
}

// Full segments of the MSS that a SYN has after the edges fit one datagram on
// the direct path and on the relayed one, and one byte more does not. This is so
// for hosts that are the edges and for hosts behind them.
func TestClampFits(t *testing.T) {
	for _, limit := range []int{MaxDatagramIPv4, MaxDatagramIPv6, 1352, 1252} {
		for _, relayLimit := range []int{0, 1232} {
			for _, bridged := range []bool{false, true} {
				for _, v6 := range []bool{false, true} {
					for tags := range 3 {
						name := fmt.Sprintf("%d %d bridged=%v IPv6=%v %d tags", limit, relayLimit, bridged, v6, tags)
						t.Run(name, func(t *testing.T) { clampFits(t, limit, relayLimit, bridged, v6, tags) })
					}
				}
			}
		}
	}
}

func clampFits(t *testing.T, limit, relayLimit int, bridged, v6 bool, tags int) {
	r, a, b := pair(t)
	r.hub()
	a.reroute(b, func(p *Route) { p.Limit, p.RelayLimit, p.Partial = limit, relayLimit, true })
	s := segment{dst: b.self, src: a.self, v6: v6, tags: tags, mss: 9000 - 60}
	if bridged {
		s.src = host(1)
	}
	a.send(r.now, s.build(t))
	r.carry()
	got := b.device.take()
	if len(got) != 1 {
		t.Fatalf("%d frames", len(got))
	}
	mss, right := announcedMSS(t, got[0])
	if !right || mss < 1000 || a.total.clamped.Load() != 1 {
		t.Fatalf("MSS %d, right %v, clamped %d", mss, right, a.total.clamped.Load())
	}
	full := mss + 40
	if v6 {
		full += 20
	}
	pieces := func(packet int, relayed bool) int {
		a.reroute(b, func(p *Route) {
			p.Direct = b.addr
			if relayed {
				p.Direct = netip.AddrPort{}
			}
		})
		s.mss, s.packet = 0, packet
		frame := s.build(t)
		header := offload.Header{Flags: offload.FlagNeedsCsum, CsumOffset: 16, CsumStart: uint16(len(frame) - packet + full - mss - 20)}
		r.sendSuper(a, superFrame{frame, header})
		return len(a.conn.take())
	}
	if direct, relayed := pieces(full, false), pieces(full, true); direct != 1 || relayed != 1 {
		t.Errorf("MSS %d: %d datagrams directly, %d by relay", mss, direct, relayed)
	}
	if pieces(full+1, false) == 1 && pieces(full+1, true) == 1 {
		t.Errorf("MSS %d is lower than needed", mss)
	}
}

// A SYN is clamped on its way out and in, on every way, and nothing else is.
func TestClampDirections(t *testing.T) {
	for name, build := range carriages {
		t.Run(name, func(t *testing.T) {
			for _, ack := range []bool{false, true} {
				r, a, b := build(t)
				s := segment{dst: b.self, src: a.self, mss: 1460, ack: ack}
				low := segment{dst: b.self, src: a.self, mss: 1300, ack: ack}
				data := segment{dst: b.self, src: a.self, packet: 1300}
				for _, c := range []struct {
					what  string
					frame []byte
					want  int
				}{{"a SYN", s.build(t), 1345}, {"a low SYN", low.build(t), 1300}, {"data", data.build(t), 0}} {
					a.send(r.now, c.frame)
					r.carry()
					got := b.device.take()
					if len(got) != 1 {
						t.Fatalf("%s: %d frames", c.what, len(got))
					}
					if mss, right := announcedMSS(t, got[0]); mss != c.want || !right {
						t.Errorf("%s: MSS %d, want %d, checksum right: %v", c.what, mss, c.want, right)
					}
				}
			}
		})
	}
	// The sender's path seems wide to it; the receiver knows better.
	r, a, b := pair(t)
	b.reroute(a, func(p *Route) { p.Limit = 1252 })
	a.send(r.now, segment{dst: b.self, src: a.self, mss: 1460}.build(t))
	r.carry()
	if mss, right := announcedMSS(t, b.device.take()[0]); mss != 1252-32-3-40 || !right || b.total.clamped.Load() != 1 {
		t.Errorf("MSS %d, checksum right: %v", mss, right)
	}
}

// Partial checksums do not cover the option and stay as they are.
func TestClampPartial(t *testing.T) {
	r, a, b := pair(t)
	r.offloading()
	frame := segment{dst: b.self, src: a.self, mss: 1460}.build(t)
	const ip = protocol.EthernetLen
	partial := folded(frame[ip+12:ip+20], uint32(6)+uint32(len(frame)-ip-20))
	frame[ip+20+16], frame[ip+20+17] = byte(partial>>8), byte(partial)
	r.sendSuper(a, superFrame{frame, offload.Header{Flags: offload.FlagNeedsCsum, CsumStart: ip + 20, CsumOffset: 16}})
	r.batch(a, b)
	h := b.device.headers[0]
	got := b.device.take()[0]
	if h.Flags&offload.FlagNeedsCsum == 0 {
		t.Errorf("%+v", h)
	}
	if err := offload.Complete(got, h); err != nil {
		t.Fatal(err)
	}
	if mss, right := announcedMSS(t, got); mss != 1345 || !right {
		t.Errorf("MSS %d, checksum right: %v", mss, right)
	}
}

// TestGroupLimit floods frames that the narrowest path of all takes only in
// pieces.
func TestGroupLimit(t *testing.T) {
	r, a, b := pair(t)
	a.bounds.groupPacket.Store(1252)
	f := ethernet(protocol.Broadcast, a.self, protocol.EtherTypeIPv4, 1360)
	for _, pkt := range r.capture(a, f) {
		if len(pkt) > 1252 {
			t.Errorf("%d bytes", len(pkt))
		}
	}
	r.arrives(t, "a flood", f, a, b)
	if cut, pieces := a.total.cut.Load(), a.total.pieces.Load(); cut != 2 || pieces != 4 || b.total.joined.Load() != 1 {
		t.Errorf("%d frames in %d pieces, %d joined", cut, pieces, b.total.joined.Load())
	}
}
