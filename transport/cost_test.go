package transport

import (
	"bytes"
	"testing"
)

// allocations returns how many one round trip of a batch costs. All of it has
// arrived when WriteBatch returns, or Wait does.
func allocations(t *testing.T, a, b socket, out []Datagram) float64 {
	t.Helper()
	in := buffers(len(out))
	round := func() {
		if n, err := a.WriteBatch(out); n != len(out) || err != nil {
			t.Fatal(n, err)
		}
		for got := 0; got < len(out); {
			if err := b.Wait(); err != nil {
				t.Fatal(err)
			}
			n, err := b.ReadBatch(in)
			if err != nil {
				t.Fatal(err)
			}
			got += n
		}
	}
	for range 2 * ringLen { // its buffers grow at first
		round()
	}
	return testing.AllocsPerRun(100, round)
}

func TestAllocations(t *testing.T) {
	onBoth(t, func(t *testing.T, open func(t testing.TB) socket) {
		for _, loopback := range []string{"127.0.0.1", "::1"} {
			a, b := open(t), open(t)
			out := []Datagram{{Buf: make([]byte, 1400), N: 1400, Addr: at(t, b, loopback)}}
			out = append(out, out[0], out[0])
			if n := allocations(t, a, b, out); n != 0 {
				t.Errorf("%s: %v allocations", loopback, n)
			}
		}
	})
}

func benchmarkUDP(b *testing.B, loopback string, batch, size int) {
	sender, receiver := listen(b, Options{}), listen(b, Options{})
	out := make([]Datagram, batch)
	for i := range out {
		out[i] = Datagram{Buf: bytes.Repeat([]byte{1}, size), N: size, Addr: at(b, receiver, loopback)}
	}
	benchmarkBatch(b, sender, receiver, out)
}

// benchmarkBatch sends and receives a batch in each round.
func benchmarkBatch(b *testing.B, sender, receiver socket, out []Datagram) {
	total := 0
	for i := range out {
		total += out[i].N
	}
	in := buffers(len(out))
	b.SetBytes(int64(total))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sender.WriteBatch(out); err != nil {
			b.Fatal(err)
		}
		for left := total; left > 0; {
			n, err := receiver.ReadBatch(in)
			if err != nil {
				b.Fatal(err)
			}
			for i := range in[:n] {
				left -= in[i].N
			}
		}
	}
}

func BenchmarkUDPv4x1(b *testing.B)     { benchmarkUDP(b, "127.0.0.1", 1, 1400) }
func BenchmarkUDPv4x32(b *testing.B)    { benchmarkUDP(b, "127.0.0.1", 32, 1400) }
func BenchmarkUDPv6x32(b *testing.B)    { benchmarkUDP(b, "::1", 32, 1400) }
func BenchmarkUDPSmallx32(b *testing.B) { benchmarkUDP(b, "127.0.0.1", 32, 64) }

// BenchmarkTrain is one train of 44 datagrams.
func BenchmarkTrain(b *testing.B) {
	sender, receiver := listen(b, Options{}), listen(b, Options{})
	train := Datagram{Buf: make([]byte, 1450*44), N: 1450 * 44, Seg: 1450, Addr: at(b, receiver, "127.0.0.1")}
	benchmarkBatch(b, sender, receiver, []Datagram{train})
}
