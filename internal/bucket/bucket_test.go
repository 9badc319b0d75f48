package bucket

import (
	"fmt"
	"math"
	"testing"
	"time"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// TestBucket takes tokens at exact times.
func TestBucket(t *testing.T) {
	var b Bucket
	steps := []struct {
		after time.Duration
		cost  float64
		want  bool
	}{
		{0, 10, true}, {0, 1, false}, {400 * time.Millisecond, 1, false}, {100 * time.Millisecond, 1, true},
		{0, 0, true}, {-time.Second, 1, true}, // a clock that is set back finds a full bucket
		{2 * time.Hour, 11, false}, {0, 10, true}, {time.Hour, 10, true},
		{4999 * time.Millisecond, 10, false}, {time.Millisecond, 10, true},
	}
	now := noon
	for i, s := range steps {
		now = now.Add(s.after)
		if has, got := b.Has(now, s.cost, 2, 10), b.Take(now, s.cost, 2, 10); got != s.want || has != got {
			t.Errorf("step %d: has %v, took %v", i, has, got)
		}
	}
}

// TestBucketClockSetBack sets the clock back by less than the bucket reaches, and
// by more: the bucket gives no more than one burst, and is never stuck.
func TestBucketClockSetBack(t *testing.T) {
	var b Bucket
	for range 3 {
		b.Take(noon, 1, 1, 10)
	}
	if b.Take(noon.Add(-7*time.Second), 1, 1, 10) {
		t.Error("a clock that was set back by seven seconds has refilled the bucket")
	}
	if !b.Take(noon.Add(-time.Hour), 10, 1, 10) || b.Take(noon.Add(-time.Hour), 1, 1, 10) {
		t.Error("a clock that was set back by an hour does not find one burst")
	}
}

// TestBucketRates takes as often as it can for ten seconds: the burst, then the
// rate, whatever the rate is.
func TestBucketRates(t *testing.T) {
	for _, rate := range []float64{0.3, 1, 3, 7, 10, 64, 333, 1000} {
		for _, burst := range []float64{2, 7, 100} {
			var b Bucket
			count := func(at time.Time) (n int) {
				for b.Take(at, 1, rate, burst) {
					n++
				}
				return n
			}
			if got := count(noon); got != int(burst) {
				t.Errorf("rate %v: %d at once, want %v", rate, got, burst)
			}
			got := 0
			for i := range 10_000 {
				got += count(noon.Add(time.Duration(i+1) * time.Millisecond))
			}
			if want := int(10 * rate); got < want-1 || got > want {
				t.Errorf("rate %v, burst %v: %d in ten seconds, want %d", rate, burst, got, want)
			}
		}
	}
}

// TestBucketExtremes names rates and bursts that no sum must overflow with.
func TestBucketExtremes(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		cost, rate, burst float64
		want              bool
	}{
		{1, 0, 10, false}, {1, -1, 10, false}, {1, nan, 10, false}, {11, 1, 10, false},
		{1, 1e-30, 10, true}, {1, inf, 10, true}, {1e18, 1, 1e18, true}, {1500, 1e15, 1e15, true},
		{0, 1, 0, true}, {1, 1, 0, false}, {1, 1, inf, true}, {inf, 1, inf, true},
	} {
		var b Bucket
		if got := b.Take(noon, c.cost, c.rate, c.burst); got != c.want {
			t.Errorf("cost %v, rate %v, burst %v: %v", c.cost, c.rate, c.burst, got)
		}
		if b.full != 0 && (b.full < noon.UnixNano() || b.full > noon.UnixNano()+maxRoom) {
			t.Errorf("cost %v, rate %v, burst %v: full at %d", c.cost, c.rate, c.burst, b.full)
		}
	}
}

// TestBucketOtherRate asks one bucket at two rates: each is owed the time that
// the other used.
func TestBucketOtherRate(t *testing.T) {
	var b Bucket
	for range 5 {
		if !b.Take(noon, 1, 10, 10) {
			t.Fatal("refused within the burst")
		}
	}
	n := 0
	for b.Take(noon, 1, 64, 64) {
		n++
	}
	if n != 32 {
		t.Errorf("%d at the other rate, want half of 64", n)
	}
}

// TestLimiter checks that a Limiter has its own rate and burst.
func TestLimiter(t *testing.T) {
	l := NewLimiter(10, 3)
	for i, c := range []struct {
		at   time.Duration
		want bool
	}{
		{0, true}, {0, true}, {0, true}, {0, false}, // the burst
		{99 * time.Millisecond, false}, {100 * time.Millisecond, true}, {100 * time.Millisecond, false},
		{150 * time.Millisecond, false}, {200 * time.Millisecond, true}, // asking in vain costs nothing
		{time.Hour, true}, {time.Hour, true}, {time.Hour, true}, {time.Hour, false}, // no more than the burst
	} {
		if got := l.Take(noon.Add(c.at)); got != c.want {
			t.Errorf("step %d at %v: %v, want %v", i, c.at, got, c.want)
		}
	}
	var none Limiter
	if none.Take(noon) {
		t.Error("the zero Limiter lets something pass")
	}
}

func BenchmarkBucket(b *testing.B) {
	for name, rate := range map[string]float64{"granted": 1e15, "refused": 1} {
		b.Run(name, func(b *testing.B) {
			var k Bucket
			b.ReportAllocs()
			for b.Loop() {
				k.Take(noon, 1, rate, rate)
			}
		})
	}
}

// ExampleLimiter limits an answer to ten a second, twenty at once.
func ExampleLimiter() {
	answers := NewLimiter(10, 20)
	now := time.Unix(0, 0)
	given := 0
	for range 100 {
		if answers.Take(now) {
			given++
		}
		now = now.Add(10 * time.Millisecond)
	}
	fmt.Println(given, "answers in the first second")
	// Output: 29 answers in the first second
}
