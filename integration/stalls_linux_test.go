package integration

import (
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
