package pmtu

import (
	"slices"
	"testing"
	"time"

	"hedgerow/internal/deadline"
)

var epoch = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// line is a path that carries IP packets up to some size.
type line struct {
	d    Discovery
	mtu  int
	dead bool // not even small ones come back
	now  time.Time
	sent []sentSize
	back []sentSize // under way to us, by when they arrive
}

type sentSize struct {
	after time.Duration // since the epoch
	size  int
}

const (
	lineRTT     = 10 * time.Millisecond
	lineTimeout = 300 * time.Millisecond
)

// run polls until the given time after the epoch; what the line carries comes
// back 10 ms later.
func (l *line) run(until time.Duration, active bool) {
	for end := epoch.Add(until); ; {
		for len(l.back) > 0 && !epoch.Add(l.back[0].after).After(l.now) {
			l.d.Answered(l.now, l.back[0].size)
			l.back = l.back[1:]
		}
		for _, size := range l.d.Poll(l.now, lineTimeout, active) {
			l.sent = append(l.sent, sentSize{l.now.Sub(epoch), size})
			if size <= l.mtu && !l.dead {
				l.back = append(l.back, sentSize{l.now.Add(lineRTT).Sub(epoch), size})
			}
		}
		next := l.d.Deadline()
		if len(l.back) > 0 {
			next = deadline.Earliest(next, epoch.Add(l.back[0].after))
		}
		if next.IsZero() || next.After(end) {
			l.now = end
			return
		}
		l.now = next
	}
}

// newLine returns a line on which a packet of the present size has just come
// back.
func newLine(full, size, mtu int, every time.Duration) *line {
	l := &line{d: New(full, size, every), mtu: mtu, now: epoch}
	l.d.Answered(epoch, size)
	return l
}

// sentSince returns what was sent since the last call.
func (l *line) sentSince() []sentSize {
	sent := l.sent
	l.sent = nil
	return sent
}

const never = 24 * time.Hour

// TestDiscoverySearch wants every size found to within a step and the common
// ones exactly, with at most 19 probes and in less than 6 s.
func TestDiscoverySearch(t *testing.T) {
	const most = 19
	for mtu := Minimum; mtu <= Ethernet; mtu++ {
		l := newLine(Ethernet, Minimum, mtu, never)
		l.run(6*time.Second, true)
		found := l.d.Size()
		exact := mtu == Ethernet || slices.Contains(commonMTU[:], mtu)
		if found > mtu || found <= mtu-searchStep || exact && found != mtu || l.d.phase != phaseComplete {
			t.Errorf("MTU %d: found %d, phase %d", mtu, found, l.d.phase)
		}
		if len(l.sent) > most {
			t.Errorf("MTU %d: %d probes: %v", mtu, len(l.sent), l.sent)
		}
	}
	l := newLine(Ethernet, Ethernet, 9000, never)
	l.run(RaiseTimer+time.Second, true)
	if len(l.sent) > 0 || l.d.Size() != Ethernet {
		t.Errorf("the wanted size passes: %d probes", len(l.sent))
	}
}

// TestDiscoverySteps holds the probes of one search and their times: each size
// once when it passes and three times when it does not. Nothing follows until
// the raise timer, then the same from what was found.
func TestDiscoverySteps(t *testing.T) {
	const ms = time.Millisecond
	l := newLine(1500, 1420, 1472, never)
	l.run(RaiseTimer, true)
	want := []sentSize{
		{0, 1500}, {300 * ms, 1500}, {600 * ms, 1500},
		{900 * ms, 1462},
		{910 * ms, 1480}, {1210 * ms, 1480}, {1510 * ms, 1480},
		{1810 * ms, 1476}, {2110 * ms, 1476}, {2410 * ms, 1476},
		{2710 * ms, 1469},
	}
	if got := l.sentSince(); !slices.Equal(got, want) || l.d.Size() != 1469 {
		t.Errorf("found %d by %v", l.d.Size(), got)
	}
	again := 2720*ms + RaiseTimer
	if d := l.d.Deadline().Sub(epoch); d != again {
		t.Errorf("searches again after %v, want %v", d, again)
	}
	l.mtu = 1492
	l.run(again+time.Minute, true)
	want = []sentSize{
		{again, 1500}, {again + 300*ms, 1500}, {again + 600*ms, 1500},
		{again + 900*ms, 1480}, {again + 910*ms, 1492},
	}
	if got := l.sentSince(); !slices.Equal(got, want) || l.d.Size() != 1492 {
		t.Errorf("found %d by %v", l.d.Size(), got)
	}
}

// TestDiscoveryPause holds that nothing is sent over a path that is not in use,
// and that the search goes on when it is again.
func TestDiscoveryPause(t *testing.T) {
	l := newLine(1500, 1280, 1400, WatchEvery)
	l.run(time.Second, true)
	l.sentSince()
	l.run(time.Hour, false)
	if got := l.sentSince(); len(got) != 0 || !l.d.Deadline().IsZero() {
		t.Errorf("%v while nothing goes over the path", got)
	}
	l.run(time.Hour+10*time.Second, true)
	if l.d.Size() != 1400 || l.d.phase != phaseComplete {
		t.Errorf("found %d", l.d.Size())
	}
	if got := l.sentSince(); got[0] != (sentSize{time.Hour, 1380}) {
		t.Errorf("the size was not watched at once: %v", got)
	}
}

// TestDiscoveryBlackHole makes a path swallow what is large, and wants that
// noticed within 3 s wherever in the period it begins.
func TestDiscoveryBlackHole(t *testing.T) {
	for _, mtu := range []int{1499, 1492, 1372, 1300, 1280} {
		for phase := time.Duration(0); phase <= WatchEvery; phase += 90 * time.Millisecond {
			l := newLine(1500, 1500, 1500, WatchEvery)
			died := 20*time.Second + phase
			l.run(died, true)
			l.mtu = mtu
			for l.d.Size() == 1500 && l.now.Before(epoch.Add(died+10*time.Second)) {
				l.run(l.now.Sub(epoch)+10*time.Millisecond, true)
			}
			took := l.now.Sub(epoch) - died
			if took > 3*time.Second || l.d.Size() != Minimum {
				t.Errorf("to %d, %v after the start: %d after %v", mtu, died, l.d.Size(), took)
			}
			l.run(died+12*time.Second, true)
			if found := l.d.Size(); found > mtu || found <= mtu-searchStep || l.d.Failed() {
				t.Errorf("to %d: found %d", mtu, found)
			}
		}
	}
}

// TestDiscoveryFails wants a path over which only small packets pass told from
// one that is dead.
func TestDiscoveryFails(t *testing.T) {
	l := newLine(1500, 1500, 1500, WatchEvery)
	l.run(20*time.Second, true)
	l.mtu = 1279
	l.run(25*time.Second, true)
	if !l.d.Failed() || l.d.Size() != Minimum {
		t.Errorf("phase %d, size %d", l.d.phase, l.d.Size())
	}
	l.mtu = 1500
	l.run(25*time.Second+errorRetry, true)
	if l.d.Failed() || l.d.Size() != 1500 {
		t.Errorf("healed: phase %d, size %d", l.d.phase, l.d.Size())
	}
	l.dead = true
	l.run(10*time.Minute, true)
	if l.d.Failed() || l.d.Size() != 1500 {
		t.Errorf("dead: phase %d, size %d", l.d.phase, l.d.Size())
	}
}

// TestDiscoveryRefused has the system refuse what is longer than the first hop
// carries. A refused probe says nothing of the present size.
func TestDiscoveryRefused(t *testing.T) {
	l := newLine(1500, 1420, 1500, WatchEvery)
	l.d.Poll(l.now, lineTimeout, true)
	l.d.Refused()
	if got := l.d.Poll(l.now, lineTimeout, true); l.d.Size() != 1420 || !slices.Equal(got, []int{1462}) {
		t.Errorf("size %d, then %v", l.d.Size(), got)
	}
	l = newLine(1500, 1500, 1500, WatchEvery)
	l.d.Poll(l.now, lineTimeout, true)
	l.d.Refused()
	if got := l.d.Poll(l.now, lineTimeout, true); l.d.Size() != Minimum || !slices.Equal(got, []int{1500, 1420, 1380, 1280}) {
		t.Errorf("size %d, then %v", l.d.Size(), got)
	}
	l.d.Refused()
	l.d.Answered(l.now, 1420)
	l.now = l.now.Add(lineTimeout)
	if got := l.d.Poll(l.now, lineTimeout, true); l.d.Size() != 1420 || !slices.Equal(got, []int{1500}) {
		t.Errorf("size %d, then %v", l.d.Size(), got)
	}
}

// TestDiscoveryZero holds that the zero value asks for nothing.
func TestDiscoveryZero(t *testing.T) {
	var d Discovery
	d.Refused()
	d.Answered(epoch, 0)
	if got := d.Poll(epoch, lineTimeout, true); len(got) > 0 || d.Size() != 0 || d.Failed() || !d.Deadline().IsZero() {
		t.Errorf("%v %+v", got, d)
	}
}
