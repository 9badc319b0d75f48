package bucket

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

// TestNetworks takes from the buckets of addresses that lie in each other's networks.
func TestNetworks(t *testing.T) {
	for _, tt := range []struct {
		name string
		of   func(i int) netip.Addr
		want int
	}{
		{"one IPv4 address", func(int) netip.Addr { return netip.MustParseAddr("192.0.2.1") }, 5},
		{"in both forms", func(i int) netip.Addr {
			return []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("::ffff:192.0.2.1")}[i%2]
		}, 5},
		{"a /24", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}) }, 20},
		{"/24s", func(i int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, byte(i), 1}) }, 200},
		{"a /64", func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 15: byte(i)}) }, 5},
		{"a /56", func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 7: byte(i)}) }, 10},
		{"a /48", func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 6: byte(i)}) }, 20},
		{"/48s", func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0x20, 5: byte(i)}) }, 200},
	} {
		n, got := NewNetworks(1<<16), 0
		for i := range 200 {
			if n.Take(noon, tt.of(i), 1, 5) {
				got++
			}
		}
		if got != tt.want {
			t.Errorf("%s: %d", tt.name, got)
		}
	}
}

// TestNetworksRefuseWhole: what an outer network refuses takes nothing from the
// inner ones.
func TestNetworksRefuseWhole(t *testing.T) {
	n := NewNetworks(1 << 16)
	for i := range 200 {
		n.Take(noon, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1, 5)
	}
	last := netip.MustParseAddr("192.0.2.250")
	for range 100 {
		if n.Take(noon, last, 1, 5) {
			t.Fatal("the /24 has no bound")
		}
	}
	later := noon.Add(2 * time.Second)
	for range 2 {
		if !n.Take(later, last, 1, 5) {
			t.Error("refusals were counted")
		}
	}
}

// TestForgedSourcesShare floods a table from forged addresses at 300,000 a second: a
// source that asks for as little as it may gets what it asks for.
func TestForgedSourcesShare(t *testing.T) {
	n, random := NewNetworks(1<<16), rand.New(rand.NewPCG(3, 4))
	now, refused := noon, 0
	for range 100 {
		for range 3000 { // in 10 ms
			a := netip.AddrFrom4([4]byte{byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
			if random.IntN(2) == 0 {
				a = netip.AddrFrom16([16]byte{0x20, 1, byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32()), byte(random.Uint32())})
			}
			n.Take(now, a, 10, 20)
		}
		now = now.Add(10 * time.Millisecond)
		if !n.Take(now, netip.AddrFrom4([4]byte{203, 0, 113, byte(random.IntN(256))}), 10, 20) {
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of 100 were refused", refused)
	}
}

func TestNetworksAllocations(t *testing.T) {
	n, a := NewNetworks(1000), netip.MustParseAddr("2001:db8::1")
	if got := testing.AllocsPerRun(100, func() { n.Take(noon, a, 1, 5) }); got != 0 {
		t.Errorf("%v allocations", got)
	}
}

func BenchmarkNetworks(b *testing.B) {
	n, a := NewNetworks(1<<16), netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		n.Take(noon, a, 1e15, 1e15)
	}
}
