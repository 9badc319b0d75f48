package deadline

import (
	"testing"
	"time"
)

func TestEarliest(t *testing.T) {
	var never time.Time
	one, two, three := time.Unix(1, 0), time.Unix(2, 0), time.Unix(3, 0)
	for _, c := range []struct {
		of   []time.Time
		want time.Time
	}{
		{[]time.Time{never}, never},
		{[]time.Time{one}, one},
		{[]time.Time{never, never}, never},
		{[]time.Time{never, two}, two},
		{[]time.Time{two, never}, two},
		{[]time.Time{two, one}, one},
		{[]time.Time{one, two}, one},
		{[]time.Time{three, never, one, two}, one},
	} {
		if got := Earliest(c.of[0], c.of[1:]...); !got.Equal(c.want) {
			t.Errorf("of %v: %v, want %v", c.of, got, c.want)
		}
	}
	if n := testing.AllocsPerRun(100, func() { Earliest(one, two, three, never) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestDue(t *testing.T) {
	now := time.Unix(2, 0)
	for at, want := range map[time.Time]bool{{}: false, now: true, now.Add(1): false, now.Add(-1): true} {
		if Due(now, at) != want {
			t.Errorf("%v at %v: %v", at, now, !want)
		}
	}
}

func TestShared(t *testing.T) {
	const every, phase = 15 * time.Second, 4 * time.Second
	for least, want := range map[int64]int64{0: 4, 4: 4, 5: 19, 18: 19, 19: 19, -1: 4, -11: -11, -12: -11, -26: -26, -27: -26} {
		if got := Shared(time.Unix(least, 0), every, phase); !got.Equal(time.Unix(want, 0)) {
			t.Errorf("from %d on: %v, not %d", least, got, want)
		}
	}
	for now, want := range map[int64]int64{0: 4, 4: 19, 18: 19, 19: 34} {
		if got := Next(time.Unix(now, 0), every, phase); !got.Equal(time.Unix(want, 0)) {
			t.Errorf("after %d: %v, not %d", now, got, want)
		}
	}
	now := time.Now()
	if got := Shared(now, every, phase); got.Before(now) || got.Sub(now) >= every {
		t.Errorf("%v after now", got.Sub(now))
	}
}
