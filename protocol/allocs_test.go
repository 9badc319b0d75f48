package protocol

import (
	"testing"
	"time"
)

// TestAllocs asserts that nothing on the path of a frame allocates.
func TestAllocs(t *testing.T) {
	buf := make([]byte, 4096)
	frame := tagged(EtherTypeIPv4, ipv4Packet(5, 6, 0, 1200), 0x81000005)
	inner := testInner(3000, 1)
	count := PieceCount(len(inner), 1400)
	var r Reassembler
	now, ctr := epoch, uint64(0)
	ping := Ping{Nonce: nonce1, Pad: 100}
	tests := []struct {
		name string
		f    func()
	}{
		{"header", func() {
			Header{Type: TypeData, XF: XFDataGCM, CTR: 5}.Put(buf)
			if _, err := ParseHeader(buf); err != nil {
				t.Fatal(err)
			}
		}},
		{"elided frame", func() {
			n := copy(buf[64:], frame)
			start := EncodeFrame(buf, 64, n, true)
			if _, _, _, err := DecodeFrame(buf, start, 64+n, testSelf, testPeer); err != nil {
				t.Fatal(err)
			}
		}},
		{"full partial frame", func() {
			n := copy(buf[64:], frame)
			start := EncodePartialFrame(buf, 64, n, false, 38, 16)
			if _, _, _, err := DecodeFrame(buf, start, 64+n, testSelf, testPeer); err != nil {
				t.Fatal(err)
			}
		}},
		{"frame", func() {
			f := Frame(frame)
			if f.Valid() != nil || f.Dst() == f.Src() || f.EtherType() != EtherTypeIPv4 || len(f.Payload()) == 0 {
				t.Fatal("wrong frame")
			}
		}},
		{"fragments", func() {
			now = now.Add(time.Millisecond)
			for i := range count {
				p := AppendPiece(buf[:0], inner, i, count)
				in, err := ParseInner(p)
				if err != nil {
					t.Fatal(err)
				}
				if _, _, done := r.Add(now, 1, ctr+uint64(i), in.Body, false); done != (i == count-1) {
					t.Fatal("not joined")
				}
			}
			ctr += uint64(count)
		}},
		{"ping and pong", func() {
			b := AppendPadding(ping.Append(AppendControl(buf[:0])), 16)
			in, err := ParseInner(b)
			if err != nil {
				t.Fatal(err)
			}
			_, value, _, err := NextTLV(in.Body)
			if err != nil {
				t.Fatal(err)
			}
			p, err := ParsePing(value)
			if err != nil {
				t.Fatal(err)
			}
			pong := Pong{Nonce: p.Nonce, Seen: addr6, Pad: PongRoom(p, addr6)}
			b = pong.Append(buf[2048:2048])
			if _, err := ParsePong(b[tlvLen:]); err != nil {
				t.Fatal(err)
			}
		}},
	}
	for _, tt := range tests {
		if n := testing.AllocsPerRun(200, tt.f); n != 0 {
			t.Errorf("%s: %v allocations, want 0", tt.name, n)
		}
	}
}
