package dataplane

import (
	"fmt"
	"testing"
)

// BenchmarkOutbound is a frame from the device to the socket's batch; MB/s
// count the bytes of the IP packet.
func BenchmarkOutbound(b *testing.B) {
	for _, f := range flows {
		b.Run(fmt.Sprintf("%s/%d", f.name, f.bytes), func(b *testing.B) {
			send, _ := f.outward(b)
			b.SetBytes(int64(f.bytes))
			b.ReportAllocs()
			for b.Loop() {
				send()
			}
		})
	}
}

// benchmarkPackets is how many frames are sealed at a time for
// BenchmarkInbound; the timer stands still meanwhile.
const benchmarkPackets = 2000

// BenchmarkInbound is a frame from the socket's batch to the device.
func BenchmarkInbound(b *testing.B) {
	for _, f := range flows {
		b.Run(fmt.Sprintf("%s/%d", f.name, f.bytes), func(b *testing.B) {
			b.SetBytes(int64(f.bytes))
			b.ReportAllocs()
			for left := b.N; left > 0; left -= benchmarkPackets {
				b.StopTimer()
				n := min(left, benchmarkPackets)
				receive, to := f.inward(b, n)
				b.StartTimer()
				for range n {
					receive()
				}
				if got := to.total.rxFrames.Load(); got != uint64(n) {
					b.Fatalf("%d frames of %d", got, n)
				}
			}
		})
	}
}
