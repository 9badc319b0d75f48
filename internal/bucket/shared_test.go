package bucket

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestShared takes the burst, and then as fast as tokens come back.
func TestShared(t *testing.T) {
	var b Shared
	r, now, got := NewRate(100, 7), int64(0), 0
	take := func() {
		for b.Has(now, 1, r) {
			if !b.Take(now, 1, r) {
				t.Fatal("Has and Take disagree")
			}
			got++
		}
		if b.Take(now, 1, r) {
			t.Fatal("an empty bucket gives")
		}
	}
	if take(); got != 7 {
		t.Errorf("%d at once, want the burst of 7", got)
	}
	for range 1000 {
		now += int64(time.Millisecond)
		take()
	}
	if got != 107 {
		t.Errorf("%d within a second, want 107", got)
	}
	now += int64(time.Hour)
	if take(); got != 114 {
		t.Errorf("%d after an hour, want one more burst", got)
	}
}

// TestSharedByMany: goroutines that take at one time get no more than the burst.
func TestSharedByMany(t *testing.T) {
	var b Shared
	var got atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 1000 {
				if b.Take(1, 1, NewRate(1, 100)) {
					got.Add(1)
				}
			}
		})
	}
	all.Wait()
	if got.Load() != 100 {
		t.Errorf("%d were given, want 100", got.Load())
	}
}

// TestSharedExtremes names rates that no division must fail with.
func TestSharedExtremes(t *testing.T) {
	for _, r := range []Rate{NewRate(0, 0), NewRate(-1, -1), NewRate(1<<40, 1), NewRate(1, 1<<30)} {
		var b Shared
		if !b.Take(5, 1, r) {
			t.Errorf("%+v gives nothing", r)
		}
	}
}

func BenchmarkShared(b *testing.B) {
	var k Shared
	r := NewRate(1, 1)
	b.ReportAllocs()
	for b.Loop() {
		k.Take(1, 1, r)
	}
}
