package transport

import "testing"

// TestGrow makes trains datagram by datagram.
func TestGrow(t *testing.T) {
	for _, c := range []struct {
		name      string
		room      int
		first     int
		sizes     []int
		grown     int // how many of sizes it accepts before it refuses one
		seg, size int
	}{
		{"equal ones", 4000, 1000, []int{1000, 1000}, 2, 1000, 3000},
		{"a shorter one is the last", 4000, 1000, []int{1000, 500, 500}, 2, 1000, 2500},
		{"a longer one", 4000, 1000, []int{1001}, 0, 0, 1000},
		{"an empty one", 4000, 1000, []int{0}, 0, 0, 1000},
		{"no room in the buffer", 2500, 1000, []int{1000, 1000}, 1, 1000, 2000},
		{"an empty first", 4000, 0, []int{10}, 0, 0, 0},
		{"the most bytes", 1 << 17, 32753, []int{32753, 2}, 1, 32753, 65506},
		{"past the most bytes", 1 << 17, 32754, []int{32754}, 0, 0, 32754},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := Datagram{Buf: make([]byte, c.room)[:c.first], N: c.first}
			grown := 0
			for _, n := range c.sizes {
				if !d.Grow(n) {
					break
				}
				grown++
			}
			if grown != c.grown || d.N != c.size || d.Seg != c.seg || len(d.Buf) != max(c.first, c.size) || d.Datagrams() != grown+1 {
				t.Errorf("%d grown, %d bytes, seg %d, %d datagrams", grown, d.N, d.Seg, d.Datagrams())
			}
		})
	}
}

// TestGrowDatagrams fills a train with the most datagrams that the kernel cuts.
func TestGrowDatagrams(t *testing.T) {
	d := Datagram{Buf: make([]byte, 1<<16), N: 100}
	n := 1
	for d.Grow(100) {
		n++
	}
	if n != MaxTrainDatagrams || d.Datagrams() != n || d.Grow(1) {
		t.Errorf("%d datagrams", n)
	}
}
