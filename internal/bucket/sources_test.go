package bucket

import (
	"net/netip"
	"testing"
)

// TestSources takes from the buckets of several addresses.
func TestSources(t *testing.T) {
	s := NewSources(1 << 16)
	count := func(a string, n int) (taken int) {
		for range n {
			if s.Take(noon, netip.MustParseAddr(a), 1, 5) {
				taken++
			}
		}
		return taken
	}
	for a, want := range map[string]int{"192.0.2.1": 5, "192.0.2.2": 5, "2001:db8::1": 5, "2001:db8:0:1::1": 5} {
		if got := count(a, 8); got != want {
			t.Errorf("%s: %d", a, got)
		}
	}
	// The same sources, written in another way.
	for _, a := range []string{"::ffff:192.0.2.1", "2001:db8::ffff", "2001:db8::1%eth0"} {
		if got := count(a, 8); got != 0 {
			t.Errorf("%s: %d", a, got)
		}
	}
}

// TestSourcesBound floods a table from more addresses than it has buckets: what
// passes is bounded by the table, and so is the memory.
func TestSourcesBound(t *testing.T) {
	s := NewSources(1)
	passed := 0
	for i := range 10_000 {
		if s.Take(noon, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 1, 2) {
			passed++
		}
	}
	if len(s.pages) != 1 || passed > 2*pageLen || passed < pageLen {
		t.Errorf("%d pages, %d passed", len(s.pages), passed)
	}
}

// TestSourcesShared floods from one address: another one that shares a place with it is
// served as ever, with its own rate, and one that shares both is not.
func TestSourcesShared(t *testing.T) {
	s := NewSources(512)
	flooder := netip.MustParseAddr("192.0.2.1")
	for s.Take(noon, flooder, 1, 5) {
	}
	full := s.of(flooder)
	sharing := [3]int{} // addresses that share no place, one and both
	for i := range 1 << 16 {
		a := netip.AddrFrom4([4]byte{198, 51, byte(i >> 8), byte(i)})
		n := 0
		for _, b := range s.of(a) {
			if b == full[0] || b == full[1] {
				n++
			}
		}
		if sharing[n]++; sharing[n] > 3 {
			continue
		}
		taken, before := 0, [2]Bucket{*s.of(a)[0], *s.of(a)[1]}
		for s.Take(noon, a, 1, 5) {
			taken++
		}
		if want := [...]int{5, 5, 0}[n]; taken != want {
			t.Errorf("%v shares %d places: %d taken, want %d", a, n, taken, want)
		}
		*s.of(a)[0], *s.of(a)[1] = before[0], before[1]
	}
	if sharing[1] == 0 {
		t.Error("no address shares a place")
	}
}

// TestSourcesPages checks that a large table costs what is used of it.
func TestSourcesPages(t *testing.T) {
	s := NewSources(1 << 16)
	for _, a := range []string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8:0:1::1", "fe80::1%eth0"} {
		s.Take(noon, netip.MustParseAddr(a), 1, 5)
	}
	s.Take(noon, netip.Addr{}, 1, 5)
	pages := 0
	for _, p := range s.pages {
		if p != nil {
			pages++
		}
	}
	if pages > 12 {
		t.Errorf("%d pages for six addresses", pages)
	}
}

func TestSourcesAllocations(t *testing.T) {
	s, a := NewSources(1000), netip.MustParseAddr("192.0.2.1")
	if n := testing.AllocsPerRun(100, func() { s.Take(noon, a, 1, 5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkSources(b *testing.B) {
	s, a := NewSources(1<<16), netip.MustParseAddr("2001:db8::1")
	b.ReportAllocs()
	for b.Loop() {
		s.Take(noon, a, 1e15, 1e15)
	}
}
