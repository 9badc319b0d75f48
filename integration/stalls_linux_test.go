package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// stalls are the moments in which this process was not given a processor, or its garbage
// collector held it, as a machine does that is too busy. The commands under test stood as
// still, so that such a moment counts for no time that they have promised.
type stalls struct {
	mu   sync.Mutex
	beat time.Time // the last one
	list []stall
}

type stall struct{ from, to time.Time }

// A stall is a beat that comes later than stallLate.
const (
	stallBeat = 10 * time.Millisecond
	stallLate = 100 * time.Millisecond
)

// machine is watched from the start of the tests on.
var machine = watchStalls()

func watchStalls() *stalls {
	s := &stalls{beat: time.Now()}
	go func() {
		for ; ; time.Sleep(stallBeat) {
			s.mu.Lock()
			s.look(time.Now())
			s.mu.Unlock()
		}
	}()
	return s
}

// look notes a stall that has ended now. Whoever asks looks, too, since it may run before
// the beat that is late.
func (s *stalls) look(now time.Time) {
	if now.Sub(s.beat) > stallLate {
		s.list = append(s.list, stall{s.beat, now})
	}
	s.beat = now
}

// between returns the time from one moment to another one, less what of it was a stall.
func (s *stalls) between(from, to time.Time) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.look(time.Now())
	d := to.Sub(from)
	for _, one := range s.list {
		begin, end := one.from, one.to
		if begin.Before(from) {
			begin = from
		}
		if end.After(to) {
			end = to
		}
		if over := end.Sub(begin); over > 0 {
			d -= over
		}
	}
	return d
}

// since is between a moment and now.
func (s *stalls) since(from time.Time) time.Duration { return s.between(from, time.Now()) }

// waiting returns for how long the threads of processes were ready to run and were given no
// processor, as Linux counts it in /proc/PID/task/TID/schedstat (nanoseconds, the second
// number). It is 0 for a process that is gone and where Linux does not count.
func waiting(pids ...int) (sum time.Duration) {
	for _, pid := range pids {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		for _, file := range files {
			var ran, waited time.Duration
			text, _ := os.ReadFile(file)
			if n, _ := fmt.Sscan(string(text), &ran, &waited); n == 2 {
				sum += waited
			}
		}
	}
	return sum
}

// waits records what processes wait for a processor. Nothing of it counts for a time that
// they have promised: on a machine that is free there is nothing of it.
type waits struct {
	mu   sync.Mutex
	list []waitSample
}

// waitSample is what processes have waited up to a moment.
type waitSample struct {
	at  time.Time
	sum time.Duration
}

// watchWaits records until the test ends.
func watchWaits(t *testing.T, pids ...int) *waits {
	x := new(waits)
	x.look(pids)
	done := make(chan struct{})
	var running sync.WaitGroup
	t.Cleanup(func() { close(done); running.Wait() })
	running.Go(func() {
		for {
			select {
			case <-time.After(5 * stallBeat):
				x.look(pids)
			case <-done:
				return
			}
		}
	})
	return x
}

// look takes a sample. A process that has ended takes nothing off.
func (x *waits) look(pids []int) {
	now, sum := time.Now(), waiting(pids...)
	x.mu.Lock()
	defer x.mu.Unlock()
	if n := len(x.list); n > 0 {
		sum = max(sum, x.list[n-1].sum)
	}
	x.list = append(x.list, waitSample{now, sum})
}

// spent returns the time from one moment to another one, less what the machine stood still
// or the processes waited in it, whichever was more.
func (x *waits) spent(from, to time.Time) time.Duration {
	d := machine.between(from, to)
	if x == nil {
		return d
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return min(d, to.Sub(from)-(x.until(to)-x.until(from)))
}

// until returns the last sample that was taken before a time.
func (x *waits) until(at time.Time) time.Duration {
	n, _ := slices.BinarySearchFunc(x.list, at, func(s waitSample, at time.Time) int { return s.at.Compare(at) })
	if n == 0 {
		return x.list[0].sum
	}
	return x.list[n-1].sum
}

// Of a stall counts what lies within the time that is asked for.
func TestStallsAreNotCounted(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	s := stalls{beat: at(0)}
	for _, ms := range []int{50, 100, 300, 400, 500, 600, 700, 800, 900, 1100} {
		s.look(at(ms))
	}
	s.beat = time.Now()
	for _, c := range []struct{ from, to, want int }{
		{0, 100, 100}, {0, 200, 100}, {0, 1000, 700}, {200, 250, 0}, {300, 900, 600}, {1000, 1200, 100}, {1100, 1200, 100},
	} {
		if got := s.between(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d ms: %v, want %d ms", c.from, c.to, got, c.want)
		}
	}
}

// What a process waits for a processor is counted, and only what lies within the time that
// is asked for.
func TestWaits(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(0, 0).Add(time.Duration(ms) * time.Millisecond) }
	x := &waits{list: []waitSample{{at(0), 0}, {at(50), 10 * time.Millisecond}, {at(100), 40 * time.Millisecond}, {at(150), 40 * time.Millisecond}}}
	for _, c := range []struct{ from, to, want int }{{1, 101, 60}, {101, 151, 50}, {51, 101, 20}, {-10, 1, 11}} {
		if got := x.spent(at(c.from), at(c.to)); got != time.Duration(c.want)*time.Millisecond {
			t.Errorf("from %d to %d ms: %v, want %d ms", c.from, c.to, got, c.want)
		}
	}
	if waiting(os.Getpid()) == 0 {
		t.Error("this process has never waited, it says")
	}
}
