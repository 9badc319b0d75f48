package bucket

import (
	"net/netip"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func TestBucket(t *testing.T) {
	var b Bucket
	steps := []struct {
		after time.Duration
		cost  float64
		want  bool
	}{
		{0, 10, true}, {0, 1, false}, {400 * time.Millisecond, 1, false}, {100 * time.Millisecond, 1, true},
		{-time.Hour, 1, false}, {2 * time.Hour, 11, false}, {0, 10, true}, {time.Hour, 10, true},
	}
	now := noon
	for i, s := range steps {
		now = now.Add(s.after)
		if got := b.Take(now, s.cost, 2, 10); got != s.want {
			t.Errorf("step %d: %v", i, got)
		}
	}
}

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
	for a, want := range map[string]int{"::ffff:192.0.2.1": 0, "2001:db8::ffff": 0} { // the same again
		if got := count(a, 8); got != want {
			t.Errorf("%s: %d", a, got)
		}
	}
	if n := testing.AllocsPerRun(100, func() { s.Take(noon, netip.MustParseAddr("192.0.2.1"), 1, 5) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
