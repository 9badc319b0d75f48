package dataplane

import (
	"bytes"
	"encoding/binary"
	"runtime"
	"runtime/debug"
	"testing"

	"hedgerow/protocol"
	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// everything is a device with all that Linux has.
const everything = tap.FeatureVnet | tap.FeatureCsum | tap.FeatureTSO | tap.FeatureUSO

// super returns a super-frame of n bytes of payload as a kernel hands it over,
// of TCP or UDP over IPv4, to be cut every size bytes.
func super(dst, src protocol.MAC, proto byte, n, size int) superFrame {
	const ip = protocol.EthernetLen
	transport, gso, field := 32, uint8(offload.GSOTCPv4), 16
	if proto == 17 {
		transport, gso, field = 8, offload.GSOUDPL4, 6
	}
	f := ethernet(dst, src, protocol.EtherTypeIPv4, 20+transport+n)
	clear(f[ip : ip+20+transport])
	f[ip], f[ip+8], f[ip+9] = 0x45, 64, proto
	binary.BigEndian.PutUint16(f[ip+2:], uint16(len(f)-ip))
	binary.BigEndian.PutUint16(f[ip+4:], 0x1234)
	copy(f[ip+12:], []byte{10, 64, 0, 1, 10, 64, 0, 2})
	binary.BigEndian.PutUint16(f[ip+10:], ^folded(f[ip:ip+20], 0))
	t := f[ip+20:]
	binary.BigEndian.PutUint16(t, 5001)
	binary.BigEndian.PutUint16(t[2:], 5201)
	if proto == 17 {
		binary.BigEndian.PutUint16(t[4:], uint16(len(t)))
	} else {
		binary.BigEndian.PutUint32(t[4:], 0xfffff000) // the sequence number wraps within
		t[12], t[13] = 8<<4, 0x18                     // 32 bytes of header; ACK, PSH
		copy(t[20:], []byte{1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2})
	}
	binary.BigEndian.PutUint16(t[field:], folded(f[ip+12:ip+20], uint32(proto)+uint32(len(t))))
	return superFrame{f, offload.Header{
		Flags: offload.FlagNeedsCsum, GSOType: gso, GSOSize: uint16(size),
		HdrLen: uint16(ip + 20 + transport), CsumStart: ip + 20, CsumOffset: uint16(field),
	}}
}

// folded is the sum of RFC 1071, not complemented.
func folded(b []byte, sum uint32) uint16 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// offloading gives every member of a rig a device that takes super-frames, and
// every route a peer that takes partial checksums.
func (r *rig) offloading() {
	for _, m := range r.members {
		m.device.takes = everything
		m.in = newInbound(m.Plane, m.device, m.conn, everything)
		m.clock(r.now)
		for other := range m.view {
			m.reroute(other, func(p *Route) { p.Partial = true })
		}
	}
}

// sendSuper hands a member a super-frame of its host and carries what it becomes
// as trains.
func (r *rig) sendSuper(m *member, f superFrame) (trains []int) {
	buf := make([]byte, bufferLen)
	copy(buf[headroom:], f.frame)
	m.out.sendFrame(m.table.Load(), m.Since(r.now), &tap.Frame{Buf: buf, Off: headroom, Len: len(f.frame), Offload: f.header})
	m.out.endBurst()
	return m.conn.trains
}

// batch carries what a member has sent to another in one batch.
func (r *rig) batch(from, to *member) {
	to.in.begin(r.now)
	for _, d := range from.conn.take() {
		switch {
		case d.to == to.addr:
			to.in.handleDatagram(d.pkt, from.addr)
		default:
			for _, out := range r.hubs[0].relay(from, d.pkt) {
				if out.to == to {
					to.in.handleDatagram(out.pkt, r.hubs[0].addr)
				}
			}
		}
	}
	to.in.endBatch()
}

// TestSuperFrames sends super-frames and wants them back as they were, having
// been a train of datagrams in between.
func TestSuperFrames(t *testing.T) {
	for _, name := range []string{"direct", "relayed", "ChaCha20-Poly1305", "in clear"} {
		for _, proto := range []byte{6, 17} {
			for _, n := range []int{1319, 5000, 1318 * 10, 1318*20 + 1, 60000} {
				r, a, b := carriages[name](t)
				r.offloading()
				sent := super(b.self, a.self, proto, n, 1318)
				if proto == 17 {
					sent.frame[14+6] = 0x40 // DF: the identification means nothing
				}
				binary.BigEndian.PutUint16(sent.frame[14+10:], 0)
				binary.BigEndian.PutUint16(sent.frame[14+10:], ^folded(sent.frame[14:34], 0))
				want := bytes.Clone(sent.frame)
				trains := r.sendSuper(a, sent)
				segments := (n + 1317) / 1318
				if len(trains) != (segments+45)/46 && name == "direct" || len(a.conn.sent) != segments {
					t.Errorf("%s %d %d: trains %v", name, proto, n, trains)
				}
				r.batch(a, b)
				headers := b.device.headers
				got := b.device.take()
				if len(got) != 1 || !bytes.Equal(got[0], want) {
					t.Errorf("%s, protocol %d, %d bytes: %d frames came", name, proto, n, len(got))
					continue
				}
				if headers[0] != sent.header {
					t.Errorf("%s, protocol %d, %d bytes: header %+v, want %+v", name, proto, n, headers[0], sent.header)
				}
				if drops := b.drops.nonzero(); len(drops) != 0 {
					t.Errorf("drops %v", drops)
				}
			}
		}
	}
}

// TestSuperFramesToPlain sends super-frames to a device without vnet headers,
// which gets the segments with their checksums, and as floods and without a
// session, where the same holds.
func TestSuperFramesToPlain(t *testing.T) {
	for name, to := range map[string]func(*member) protocol.MAC{
		"unicast": func(b *member) protocol.MAC { return b.self },
		"flood":   func(*member) protocol.MAC { return protocol.Broadcast },
	} {
		for _, way := range []string{"direct", "relayed", "without a session"} {
			for _, partial := range []bool{false, true} {
				r, a, b := carriages[way](t)
				a.reroute(b, func(p *Route) { p.Partial = partial })
				sent := super(to(b), a.self, 6, 40000, 1318)
				r.sendSuper(a, sent)
				r.batch(a, b)
				got := b.device.take()
				if len(got) != 31 {
					t.Errorf("%s %s: %d frames", name, way, len(got))
				}
				var payload []byte
				for _, f := range got {
					payload = append(payload, f[14+20+32:]...)
					if sum := folded(f[34:], uint32(folded(f[26:34], 6+uint32(len(f)-34)))); sum != 0xffff {
						t.Fatalf("%s %s: the checksum of a segment is wrong: %04x", name, way, sum)
					}
				}
				if !bytes.Equal(payload, sent.frame[66:]) {
					t.Errorf("%s %s: the payload changed", name, way)
				}
			}
		}
	}
}

// TestPathSmallerThanSegments cuts TCP to what the path takes, so that no
// datagram is longer than it.
func TestPathSmallerThanSegments(t *testing.T) {
	r, a, b := pair(t)
	r.offloading()
	a.reroute(b, func(p *Route) { p.Limit = 1252 })
	sent := super(b.self, a.self, 6, 30000, 1448)
	r.sendSuper(a, sent)
	for _, d := range a.conn.sent[:len(a.conn.sent)-1] {
		if len(d.pkt) != 1252 {
			t.Fatalf("a datagram of %d bytes", len(d.pkt))
		}
	}
	r.batch(a, b)
	if got := b.device.take(); len(got) != 1 || !bytes.Equal(got[0][66:], sent.frame[66:]) {
		t.Errorf("%d frames came", len(got))
	}
}

// TestMixedBatch wants the frames of one batch in their order, joined or not,
// whatever lies between them: other flows, control, junk and repeats.
func TestMixedBatch(t *testing.T) {
	r, a, b := pair(t)
	r.offloading()
	one, two := super(b.self, a.self, 6, 20000, 1318), super(b.self, a.self, 17, 20000, 1000)
	arp := ethernet(b.self, a.self, 0x0806, 46)
	var want [][]byte
	for range 3 {
		for _, f := range []superFrame{one, {frame: arp}, two, {frame: ethernet(b.self, host(1), protocol.EtherTypeIPv4, 700)}} {
			want = append(want, bytes.Clone(f.frame))
			r.sendSuper(a, superFrame{bytes.Clone(f.frame), f.header})
		}
	}
	sent := a.conn.sent
	a.conn.sent = nil
	for i, d := range sent {
		a.conn.sent = append(a.conn.sent, d)
		if i%7 == 3 {
			flipped := bytes.Clone(d.pkt)
			flipped[len(flipped)/2] ^= 1
			a.conn.sent = append(a.conn.sent, sentDatagram{to: b.addr, pkt: flipped}, sentDatagram{to: b.addr, pkt: []byte("junk")})
		}
		if i%7 == 5 {
			a.conn.sent = append(a.conn.sent, sentDatagram{to: b.addr, pkt: bytes.Clone(d.pkt)})
		}
	}
	r.batch(a, b)
	got := b.device.take()
	if len(got) != len(want) {
		t.Fatalf("%d frames of %d", len(got), len(want))
	}
	for i := range want {
		if i%4 == 2 { // the identification of the UDP super-frame, without DF, goes on
			want[i] = want[i][:len(want[i]):len(want[i])]
		}
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("frame %d changed or is out of order", i)
		}
	}
}

// BenchmarkSuperOutbound is a super-frame from the device to the trains that it
// becomes; MB/s count its payload.
func BenchmarkSuperOutbound(b *testing.B) {
	for _, name := range []string{"direct", "relayed"} {
		b.Run(name, func(b *testing.B) {
			r, from, to := carriages[name](b)
			r.offloading()
			from.conn.discard = true
			const payload = 46 * 1318
			sent := super(to.self, from.self, 6, payload, 1318)
			f := tap.Frame{Buf: make([]byte, bufferLen), Off: headroom, Len: len(sent.frame), Offload: sent.header}
			t, now := from.table.Load(), from.Since(r.now)
			b.SetBytes(payload)
			b.ReportAllocs()
			for b.Loop() {
				copy(f.Buf[headroom:], sent.frame) // cutting and sealing destroy it
				from.out.sendFrame(t, now, &f)
				from.out.endBurst()
			}
		})
	}
}

// BenchmarkSuperInbound is a train from the socket to the super-frame that it
// becomes again.
func BenchmarkSuperInbound(b *testing.B) {
	for _, name := range []string{"direct", "relayed"} {
		b.Run(name, func(b *testing.B) {
			r, from, to := carriages[name](b)
			r.offloading()
			to.device.discard = true
			const payload, trains = 46 * 1318, 64
			b.SetBytes(payload)
			b.ReportAllocs()
			defer debug.SetGCPercent(debug.SetGCPercent(-1)) // of what is made while the timer stands
			for left := b.N; left > 0; left -= trains {
				b.StopTimer()
				runtime.GC()
				var batches [][]sentDatagram
				for range min(left, trains) {
					r.sendSuper(from, super(to.self, from.self, 6, payload, 1318))
					batch := from.conn.take()
					if name == "relayed" {
						var out []sentDatagram
						for _, d := range batch {
							for _, p := range r.hubs[0].relay(from, d.pkt) {
								out = append(out, sentDatagram{to: r.hubs[0].addr, pkt: p.pkt})
							}
						}
						batch = out
					} else {
						for i := range batch {
							batch[i].to = from.addr
						}
					}
					batches = append(batches, batch)
				}
				b.StartTimer()
				for _, batch := range batches {
					to.in.begin(r.now)
					for _, d := range batch {
						to.in.handleDatagram(d.pkt, d.to)
					}
					to.in.endBatch()
				}
			}
			if drops := to.drops.nonzero(); len(drops) != 0 {
				b.Fatal(drops)
			}
		})
	}
}
