package offload

import (
	"bytes"
	"fmt"
	"testing"
)

var sink uint16

func BenchmarkChecksum(b *testing.B) {
	for _, n := range []int{40, 64, 576, 1448, 65000} {
		buf := pattern(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			for b.Loop() {
				sink = sum(buf)
			}
		})
	}
}

// kinds calls bench with super-frames of 40 segments.
func kinds(b *testing.B, bench func(b *testing.B, size int, frame []byte, h Header)) {
	for _, c := range []struct {
		name    string
		v6, udp bool
		size    int
	}{
		{"tcp4", false, false, 1400}, {"tcp6", true, false, 1400}, {"udp4", false, true, 1400}, {"udp4-64", false, true, 64},
	} {
		s := plain(c.v6, c.udp)
		s.payload = pattern(40 * c.size)
		frame, h := s.super(b, c.size)
		b.Run(c.name, func(b *testing.B) { bench(b, c.size, frame, h) })
	}
}

// BenchmarkCut: one operation is one segment.
func BenchmarkCut(b *testing.B) {
	kinds(b, func(b *testing.B, size int, frame []byte, h Header) {
		buf := bytes.Clone(frame)
		var c Cutter
		b.SetBytes(int64(size))
		b.ReportAllocs()
		b.ResetTimer()
		for n := 0; n < b.N; n += c.Count() {
			copy(buf, frame[:h.HdrLen])
			if err := c.Start(buf, 0, len(buf), h, 0); err != nil {
				b.Fatal(err)
			}
			for {
				if _, _, _, ok := c.Next(); !ok {
					break
				}
			}
		}
	})
}

// BenchmarkJoin: one operation is one segment, with a partial or a whole checksum.
func BenchmarkJoin(b *testing.B) {
	kinds(b, func(b *testing.B, size int, frame []byte, h Header) {
		partial := cutAll(b, frame, h, 0)
		for name, all := range map[string][]segment{"partial": partial, "complete": completed(b, partial)} {
			b.Run(name, func(b *testing.B) {
				j := both()
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for n := 0; n < b.N; n += len(all) {
					j.Begin(all[0].frame, all[0].h)
					for _, s := range all[1:] {
						if _, ok := j.Join(s.frame, s.h); !ok {
							b.Fatal("not joined")
						}
					}
					j.Finish(frame)
				}
			})
		}
	})
}

// BenchmarkBegin is a frame that nothing follows.
func BenchmarkBegin(b *testing.B) {
	s := plain(false, false)
	frame, h := s.partial(b)
	j := both()
	b.ReportAllocs()
	for b.Loop() {
		j.Begin(frame, h)
		j.Finish(frame)
	}
}
