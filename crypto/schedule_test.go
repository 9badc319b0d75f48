package crypto

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// kStart is when the schedules of these tests start: their times are hours
// after it.
var kStart = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

// kAt returns the time that many hours after kStart.
func kAt(hours float64) time.Time {
	return kStart.Add(time.Duration(hours * float64(time.Hour)))
}

// kCommunity makes a community from a line such as "0:-,24 1:24,48 hold": the
// index and the bounds in hours of each epoch, - for none.
func kCommunity(line string) *Community {
	c := &Community{Name: "mynetwork", Secret: [32]byte{1}, Skew: time.Hour}
	bound := func(s string) time.Time {
		if s == "-" {
			return time.Time{}
		}
		var hours float64
		if _, err := fmt.Sscan(s, &hours); err != nil {
			panic(err)
		}
		return kAt(hours)
	}
	for _, word := range strings.Fields(line) {
		index, bounds, ok := strings.Cut(word, ":")
		if !ok {
			c.Fail = word == "fail"
			continue
		}
		var e Epoch
		if _, err := fmt.Sscan(index, &e.Index); err != nil {
			panic(err)
		}
		from, until, _ := strings.Cut(bounds, ",")
		e.From, e.Until, e.Key = bound(from), bound(until), [32]byte{e.Index, 1}
		c.Epochs = append(c.Epochs, e)
	}
	return c
}

// kTransmit returns the index to send under, -1 for none.
func kTransmit(s *Schedule, now time.Time) int {
	e, ok := s.Transmit(now)
	if !ok {
		return -1
	}
	return int(e.Index)
}

// TestScheduleByClock asks schedules of several shapes at several hours. The
// list is Acceptable: the one to send under first, then the newest first.
func TestScheduleByClock(t *testing.T) {
	const tick = 1.0 / 3600e9 // a nanosecond in hours, enough for the end of a window
	type step struct {
		hour     float64
		transmit int
		list     []uint8
	}
	tests := []struct {
		what, line string
		steps      []step
	}{
		{"one without bounds", "0:-,-", []step{{-9999, 0, []uint8{0}}, {9999, 0, []uint8{0}}}},
		{"consecutive, hold", "0:0,24 1:24,48 2:48,72 hold", []step{
			{-1.01, -1, nil},
			{-1, 0, []uint8{0}}, // there is no older key to send under
			{0, 0, []uint8{0}},
			{22.99, 0, []uint8{0}},
			{23, 0, []uint8{0, 1}},
			{23.99, 0, []uint8{0, 1}},
			{24, 1, []uint8{1, 0}},
			{25, 1, []uint8{1, 0}},
			{25 + 10*tick, 1, []uint8{1}},
			{48, 2, []uint8{2, 1}},
			{72, 2, []uint8{2}},
			{9999, 2, []uint8{2}},
		}},
		{"consecutive, fail", "0:0,24 1:24,48 fail", []step{
			{47.99, 1, []uint8{1}},
			{48, -1, []uint8{1}},
			{49, -1, []uint8{1}},
			{49 + 10*tick, -1, nil},
		}},
		{"order in the file does not count", "2:48,72 0:0,24 1:24,48", []step{{30, 1, []uint8{1}}, {50, 2, []uint8{2}}}},
		{"order of indices does not count", "9:0,24 3:24,48", []step{{23.5, 9, []uint8{9, 3}}, {24, 3, []uint8{3, 9}}}},
		{"unbounded outside", "0:-,24 1:24,-", []step{{-9999, 0, []uint8{0}}, {24, 1, []uint8{1, 0}}, {9999, 1, []uint8{1}}}},
		{"the newer of two that overlap", "0:0,100 1:50,60 fail", []step{
			{50, 1, []uint8{1, 0}},
			{60, 0, []uint8{0, 1}}, // never under one that has ended
			{62, 0, []uint8{0}},
			{100, -1, []uint8{0}},
		}},
		{"hold keeps the key in use at the end", "0:0,100 1:50,60 hold", []step{{60, 0, []uint8{0, 1}}, {9999, 0, []uint8{0}}}},
		{"hold keeps the newer of two that end at once", "0:0,60 1:50,60 hold", []step{{60, 1, []uint8{1, 0}}, {62, 1, []uint8{1}}}},
		{"a gap, hold", "0:0,24 1:30,54 hold", []step{
			{28, 0, []uint8{0}}, {29, 0, []uint8{0, 1}}, {30, 1, []uint8{1, 0}}, {31.5, 1, []uint8{1}},
		}},
		{"a gap, fail", "0:0,24 1:30,54 fail", []step{{24, -1, []uint8{0}}, {28, -1, nil}, {29, -1, []uint8{1}}, {30, 1, []uint8{1}}}},
		{"empty", "fail", []step{{0, -1, nil}}},
	}
	for _, tt := range tests {
		s := NewSchedule(kCommunity(tt.line), time.Time{})
		for _, st := range tt.steps {
			now := kAt(st.hour)
			if got := kTransmit(s, now); got != st.transmit {
				t.Errorf("%s: hour %v: Transmit %d, want %d", tt.what, st.hour, got, st.transmit)
			}
			if got := s.Acceptable(now); !slices.Equal(got, st.list) {
				t.Errorf("%s: hour %v: Acceptable %v, want %v", tt.what, st.hour, got, st.list)
			}
			for ki := range 256 {
				e, ok := s.CanReceive(now, uint8(ki))
				if want := slices.Contains(st.list, uint8(ki)); ok != want || ok && int(e.Index) != ki {
					t.Errorf("%s: hour %v: CanReceive(%d) = %v, %v", tt.what, st.hour, ki, e, ok)
				}
			}
		}
	}
}

// TestScheduleLearn runs scripts of authenticated packets: at an hour one comes
// under ki; then moved and the index to send under must be these.
func TestScheduleLearn(t *testing.T) {
	type step struct {
		hour     float64
		ki       uint8
		moved    bool
		transmit int
	}
	tests := []struct {
		what, line string
		steps      []step
	}{
		{"newer, inside its window", "0:0,24 1:24,48", []step{
			{22.9, 1, false, 0}, // too early: not acceptable
			{23, 1, true, 1},
			{23, 1, false, 1}, // only the first moves
			{23.1, 0, false, 1},
			{24, 0, false, 1},
			{30, 9, false, 1}, // no such index
			{30, 255, false, 1},
		}},
		{"older never moves back", "0:0,24 1:24,48", []step{{24.5, 0, false, 1}}},
		{"two steps ahead with a long skew", "0:0,1 1:1,1.5 2:1.5,9", []step{{0.7, 2, true, 2}, {0.8, 1, false, 2}, {1.2, 1, false, 2}}},
		{"one by one", "0:0,1 1:1,1.5 2:1.5,9", []step{{0.7, 1, true, 1}, {0.8, 2, true, 2}}},
		{"never to one that has ended", "0:0,100 1:50,60", []step{{60.5, 1, false, 0}}},
		{"what was learned ends", "0:0,100 1:50,60 fail", []step{{49.5, 1, true, 1}, {59.9, 0, false, 1}, {60, 0, false, 0}, {60, 1, false, 0}}},
		{"a clock set back drops it", "0:0,24 1:24,48", []step{{23, 1, true, 1}, {22, 0, false, 0}, {23.5, 0, false, 1}}},
		{"out of a gap, fail", "0:0,24 1:30,54 fail", []step{{28, 1, false, -1}, {29.5, 1, true, 1}}},
		{"after the end, fail", "0:0,24 fail", []step{{24, 0, false, -1}}},
		{"after the end, hold", "0:0,24 hold", []step{{24, 0, false, 0}, {99, 0, false, 0}}},
	}
	for _, tt := range tests {
		s := NewSchedule(kCommunity(tt.line), time.Time{})
		for i, st := range tt.steps {
			now := kAt(st.hour)
			if moved := s.Learn(now, st.ki); moved != st.moved {
				t.Errorf("%s, step %d: moved %v", tt.what, i, moved)
			}
			if got := kTransmit(s, now); got != st.transmit {
				t.Errorf("%s, step %d: Transmit %d, want %d", tt.what, i, got, st.transmit)
			}
		}
	}
}

// TestScheduleSkewedClocks lets two members send to each other every ten
// seconds across two rolls. Lost are exactly the packets that are sent under a
// key before the slow clock opens its window, or after the fast one closed it.
func TestScheduleSkewedClocks(t *testing.T) {
	tests := []struct {
		what           string
		apart          time.Duration // how much the second clock is behind the first
		toFast, toSlow bool          // who hears anything
		lostToSlow     time.Duration // per roll
		lostToFast     time.Duration
	}{
		{"equal", 0, true, true, 0, 0},
		{"50 minutes", 50 * time.Minute, true, true, 0, 0},
		{"50 minutes, fast only talks", 50 * time.Minute, false, true, 0, 0},
		{"50 minutes, slow only talks", 50 * time.Minute, true, false, 0, 0},
		{"60 minutes", 60 * time.Minute, true, true, 0, 0},
		// The slow clock opens the new window ten minutes after the fast one
		// rolled, and follows at once: the other direction loses nothing.
		{"70 minutes", 70 * time.Minute, true, true, 10 * time.Minute, 0},
		// Nothing tells the slow one: it rolls ten minutes after the fast one
		// closed the old window.
		{"70 minutes, slow only talks", 70 * time.Minute, true, false, 0, 10 * time.Minute},
	}
	const every = 10 * time.Second
	for _, tt := range tests {
		c := kCommunity("0:0,24 1:24,48 2:48,72")
		fast, slow := NewSchedule(c, time.Time{}), NewSchedule(c, time.Time{})
		send := func(from, to *Schedule, fromNow, toNow time.Time) (lost time.Duration) {
			ki := kTransmit(from, fromNow)
			if ki < 0 {
				t.Fatalf("%s: nothing to send under at %v", tt.what, fromNow)
			}
			if _, ok := to.CanReceive(toNow, uint8(ki)); !ok {
				return every
			}
			to.Learn(toNow, uint8(ki))
			return 0
		}
		var lostToSlow, lostToFast time.Duration
		for at := kAt(20); at.Before(kAt(52)); at = at.Add(every) {
			behind := at.Add(-tt.apart)
			if tt.toSlow {
				lostToSlow += send(fast, slow, at, behind)
			}
			if tt.toFast {
				lostToFast += send(slow, fast, behind, at)
			}
		}
		// Two rolls; the end of a window is inside it, so one packet less is lost.
		near := func(got, want time.Duration) bool { return got <= 2*want && got >= 2*(want-every) }
		if !near(lostToSlow, tt.lostToSlow) || !near(lostToFast, tt.lostToFast) {
			t.Errorf("%s: lost %v to the slow, %v to the fast; want %v and %v per roll",
				tt.what, lostToSlow, lostToFast, tt.lostToSlow, tt.lostToFast)
		}
	}
}

// TestScheduleOneRightClockPulls holds that in a chain each member follows the
// one before, so that a single clock that rolls moves all.
func TestScheduleOneRightClockPulls(t *testing.T) {
	c := kCommunity("0:0,24 1:24,48")
	now := kAt(24)
	first := NewSchedule(c, time.Time{})
	ki := kTransmit(first, now)
	for i := range 5 {
		behind := now.Add(-time.Duration(10*(i+1)) * time.Minute)
		s := NewSchedule(c, time.Time{})
		if kTransmit(s, behind) != 0 || !s.Learn(behind, uint8(ki)) {
			t.Fatalf("member %d does not follow", i)
		}
		ki = kTransmit(s, behind)
	}
	if ki != 1 {
		t.Errorf("the last sends under %d", ki)
	}
}

func TestScheduleWrongClock(t *testing.T) {
	c := kCommunity("0:0,24 1:24,48 2:48,72 3:72,96")
	c.Modified = kAt(30)
	nineteenSeventy := time.Unix(12, 0)
	tests := []struct {
		what         string
		build        time.Time
		now          time.Time
		wrong        bool
		transmit     int
		list         []uint8
		learn        uint8
		moved        bool
		transmitThen int
	}{
		{"before both", kAt(20), nineteenSeventy, true, 1, []uint8{1, 3, 2, 0}, 3, true, 3},
		{"before the build only", kAt(50), kAt(40), true, 2, []uint8{2, 3, 1, 0}, 3, true, 3},
		{"before the file only", kAt(-99), kAt(20), true, 1, []uint8{1, 3, 2, 0}, 2, true, 2},
		{"an index that has ended for certain", kAt(20), nineteenSeventy, true, 1, []uint8{1, 3, 2, 0}, 0, false, 1},
		{"a nanosecond before", kAt(20), kAt(30).Add(-1), true, 1, []uint8{1, 3, 2, 0}, 1, false, 1},
		{"right", kAt(20), kAt(30), false, 1, []uint8{1}, 2, false, 1},
		{"nothing known", time.Time{}, kAt(31), false, 1, []uint8{1}, 3, false, 1},
	}
	for _, tt := range tests {
		s := NewSchedule(c, tt.build)
		if got := s.ClockWrong(tt.now); got != tt.wrong {
			t.Errorf("%s: ClockWrong %v", tt.what, got)
		}
		if got := kTransmit(s, tt.now); got != tt.transmit {
			t.Errorf("%s: Transmit %d, want %d", tt.what, got, tt.transmit)
		}
		if got := s.Acceptable(tt.now); !slices.Equal(got, tt.list) {
			t.Errorf("%s: Acceptable %v, want %v", tt.what, got, tt.list)
		}
		if moved := s.Learn(tt.now, tt.learn); moved != tt.moved {
			t.Errorf("%s: moved %v", tt.what, moved)
		}
		if got := kTransmit(s, tt.now); got != tt.transmitThen {
			t.Errorf("%s: Transmit %d after learning, want %d", tt.what, got, tt.transmitThen)
		}
		if tt.wrong {
			floor := kAt(30)
			if tt.build.After(floor) {
				floor = tt.build
			}
			if got := s.Next(tt.now); !got.Equal(floor) {
				t.Errorf("%s: Next %v, want %v", tt.what, got, floor)
			}
		}
	}
	// The clock is put right far from what was learned: the clock decides.
	s := NewSchedule(c, time.Time{})
	if !s.Learn(nineteenSeventy, 3) || kTransmit(s, kAt(40)) != 1 || kTransmit(s, kAt(71)) != 3 {
		t.Error("what was learned under a wrong clock must count inside its window only")
	}
}

// TestScheduleNext walks from change to change and holds that nothing changes
// in between.
func TestScheduleNext(t *testing.T) {
	for _, line := range []string{
		"0:-,-", "0:0,24 1:24,48 2:48,72 hold", "0:0,24 1:24,48 fail", "0:0,24 1:30,54 fail", "0:0,24 1:30,54 hold", "0:0,100 1:50,60 fail", "fail",
	} {
		c := kCommunity(line)
		c.Modified = kAt(-5)
		s := NewSchedule(c, time.Time{})
		answer := func(now time.Time) string {
			return fmt.Sprint(kTransmit(s, now), s.Acceptable(now), s.ClockWrong(now))
		}
		now, walked := kAt(-9), 0
		for {
			next := s.Next(now)
			end := next
			if next.IsZero() {
				end = now.Add(9999 * time.Hour)
			}
			for _, at := range []time.Time{now.Add(end.Sub(now) / 2), end.Add(-1)} {
				if at.After(now) && answer(at) != answer(now) {
					t.Errorf("%s: %s at %v became %s by %v", line, answer(now), now, answer(at), at)
				}
			}
			if next.IsZero() {
				break
			}
			if walked++; !next.After(now) || walked > 50 {
				t.Fatalf("%s: Next(%v) = %v", line, now, next)
			}
			now = next
		}
	}
}

func TestScheduleEnds(t *testing.T) {
	past := time.Unix(0, 0)
	tests := []struct {
		line     string
		ends     time.Time
		sessions map[uint8]time.Time
	}{
		{"0:0,24 1:24,48 hold", kAt(48), map[uint8]time.Time{0: kAt(25.05), 1: {}, 2: past, 255: past}},
		{"0:0,24 1:24,48 fail", kAt(48), map[uint8]time.Time{0: kAt(25.05), 1: kAt(49.05)}},
		{"0:0,24 1:24,- fail", time.Time{}, map[uint8]time.Time{0: kAt(25.05), 1: {}}},
		{"0:0,24 1:30,54 hold", kAt(54), map[uint8]time.Time{0: kAt(31.05), 1: {}}},
		{"0:0,100 1:50,60 fail", kAt(100), map[uint8]time.Time{0: kAt(101.05), 1: kAt(61.05)}},
		{"fail", time.Time{}, nil},
	}
	for _, tt := range tests {
		s := NewSchedule(kCommunity(tt.line), time.Time{})
		if at, ok := s.Ends(); !at.Equal(tt.ends) || ok == tt.ends.IsZero() {
			t.Errorf("%s: Ends %v, %v", tt.line, at, ok)
		}
		for ki, want := range tt.sessions {
			if got := s.SessionEnd(ki); !got.Equal(want) {
				t.Errorf("%s: SessionEnd(%d) = %v, want %v", tt.line, ki, got, want)
			}
		}
	}
}

func TestScheduleSkew(t *testing.T) {
	for _, tt := range []struct{ skew, want time.Duration }{
		{0, time.Hour}, {time.Minute, time.Minute}, {24 * time.Hour, 24 * time.Hour}, {99 * time.Hour, 24 * time.Hour}, {-1, time.Hour},
	} {
		c := kCommunity("0:0,100 1:100,200")
		c.Skew = tt.skew
		s := NewSchedule(c, time.Time{})
		if _, ok := s.CanReceive(kAt(100).Add(-tt.want), 1); !ok {
			t.Errorf("skew %v: closed at %v before", tt.skew, tt.want)
		}
		if _, ok := s.CanReceive(kAt(100).Add(-tt.want-1), 1); ok {
			t.Errorf("skew %v: open before %v", tt.skew, tt.want)
		}
	}
}

func TestScheduleReplace(t *testing.T) {
	tests := []struct {
		what, line string
		rekeyed    bool
		transmit   int
	}{
		{"more epochs", "0:0,24 1:24,48 2:48,72", false, 1},
		{"without the learned one", "0:0,24 2:48,72", false, 0},
		{"another key under the index", "0:0,24 1:24,48", true, 0},
	}
	for _, tt := range tests {
		s := NewSchedule(kCommunity("0:0,24 1:24,48"), time.Time{})
		if !s.Learn(kAt(23), 1) {
			t.Fatal("not learned")
		}
		c := kCommunity(tt.line)
		if tt.rekeyed {
			c.Epochs[1].Key[5]++
		}
		s.Replace(c)
		if got := kTransmit(s, kAt(23)); got != tt.transmit {
			t.Errorf("%s: Transmit %d, want %d", tt.what, got, tt.transmit)
		}
	}
}

// TestScheduleDataPath holds that what is asked per packet does not allocate.
func TestScheduleDataPath(t *testing.T) {
	c, err := GenerateCommunity("mynetwork", 12, 24*time.Hour, kStart, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s, now := NewSchedule(c, kStart), kAt(24*5.99)
	s.Learn(now, 6)
	var ok bool
	if n := testing.AllocsPerRun(100, func() {
		_, ok = s.CanReceive(now, 6)
		s.Learn(now, 6)
		s.Learn(now, 5)
		s.Learn(now, 200)
		s.Transmit(now)
	}); n != 0 || !ok {
		t.Errorf("%v allocations, acceptable %v", n, ok)
	}
}
