package trains

import (
	"testing"
	"time"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// line is a path that is used all the time.
type line struct {
	w              Watch
	now            time.Time
	train, single  int // of the pings of a round that come back
	trains, others int // rounds so far
}

// run polls for some time, and returns after how long the verdict changed, 0 if it did not.
func (l *line) run(d time.Duration) (changed time.Duration) {
	began, was := l.now, l.w.Ended()
	for end := l.now.Add(d); l.now.Before(end); l.now = l.now.Add(100 * time.Millisecond) {
		back := 0
		switch l.w.Poll(l.now, 300*time.Millisecond, true) {
		case Train:
			l.trains, back = l.trains+1, l.train
		case Single:
			l.others, back = l.others+1, l.single
		}
		for range back {
			l.w.Answered()
		}
		if l.w.Ended() != was && changed == 0 {
			changed = l.now.Sub(began)
		}
	}
	return changed
}

// Trains end for a path that loses them and carries single datagrams, within seconds.
func TestTrainsEnd(t *testing.T) {
	for _, train := range []int{0, 1, enough - 1} {
		l := line{now: epoch, train: train, single: Count}
		if after := l.run(time.Minute); after == 0 || after > 5*time.Second || !l.w.Ended() {
			t.Errorf("%d of %d come back: ended %t, after %v", train, Count, l.w.Ended(), after)
		}
		if l.trains != findings || l.others != findings {
			t.Errorf("%d trains and %d rounds of single pings", l.trains, l.others)
		}
	}
}

// They do not end for a path that carries them, nor for one that loses both alike.
func TestTrainsGoOn(t *testing.T) {
	for _, c := range [][2]int{{Count, Count}, {enough, Count}, {enough, 0}, {0, 0}, {2, sure - 1}} {
		l := line{now: epoch, train: c[0], single: c[1]}
		if after := l.run(time.Hour); after != 0 {
			t.Errorf("%v of %d come back: ended after %v", c, Count, after)
		}
	}
	l := line{now: epoch, train: Count, single: Count}
	l.run(time.Hour)
	if l.trains < 50 || l.trains > 64 || l.others != 0 {
		t.Errorf("%d trains in an hour over a path that carries them", l.trains)
	}
}

// One bad finding, as by chance, does not end trains.
func TestOneFinding(t *testing.T) {
	l := line{now: epoch, single: Count}
	for l.others == 0 {
		l.run(100 * time.Millisecond)
	}
	l.train = Count
	if after := l.run(time.Hour); after != 0 {
		t.Errorf("ended after %v", after)
	}
}

// A path that lost trains is tried again after a minute, then less and less often, and
// carries them again when two in a row came through.
func TestTrainsTriedAgain(t *testing.T) {
	l := line{now: epoch, single: Count}
	l.run(10 * time.Second)
	before := l.trains
	if after := l.run(5 * time.Hour); after != 0 || l.trains-before < 8 || l.trains-before > 11 {
		t.Errorf("changed after %v, %d trains in five hours", after, l.trains-before)
	}
	l.train = Count
	if after := l.run(2 * time.Hour); after == 0 || after > time.Hour+time.Second {
		t.Errorf("back after %v", after)
	}
	if l.train = 0; l.run(time.Minute+10*time.Second) == 0 {
		t.Error("it is not watched any more")
	}
}

// A path that carries nothing is not checked, and has no deadline.
func TestIdle(t *testing.T) {
	var w Watch
	for at := range 1000 {
		if ask := w.Poll(epoch.Add(time.Duration(at)*time.Minute), time.Second, false); ask != None || !w.Deadline().IsZero() {
			t.Fatalf("minute %d: %v", at, ask)
		}
	}
}
