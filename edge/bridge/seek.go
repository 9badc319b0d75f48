package bridge

import (
	"net/netip"
	"sync"
	"time"
)

// A station that has moved and said nothing cannot be reached although frames for it are
// flooded: the switches of the LAN that it is on have heard it from our device, and send
// nothing back there. So a bridge looks for it on its own LAN, by a poll of the address
// that the frames are for (poll.go). Its answer tells the switches and us. That is for
// frames that go on being flooded: one of a station that answers is flooded once.
const (
	seekAfter = int64(400 * time.Millisecond) // since the first
	seekEvery = int64(time.Second)            // for one station
	seekAge   = 2 * seekEvery                 // without a frame
)

// Bounds of looking for stations: those that one edge has sought at a time, the edges,
// and the polls for one edge, and for all.
const (
	maxSought    = 64
	maxSeekers   = 256
	seekRate     = 5 // a second
	seekBurst    = 10 * int64(time.Second/seekRate)
	seekRateAll  = 50
	seekBurstAll = 100 * int64(time.Second/seekRateAll)
)

// sought is a station, and an address at which it may answer.
type sought struct {
	Key
	addr netip.Addr
}

// Seeks says which stations are looked for on our own LAN. It is safe for concurrent use.
type Seeks[E comparable] struct {
	mu    sync.Mutex
	by    map[E]*seeker // whose frames are flooded
	polls map[sought]int64
	paid  int64 // until when the polls for all are paid for
	swept int64 // when room was looked for last
}

// seeker is what is known of the frames of one edge.
type seeker struct {
	flooded map[sought]times
	paid    int64
	swept   int64
}

// times are those of the first and the last of several frames.
type times struct{ first, last int64 }

// NewSeeks returns a machine that knows of no frames.
func NewSeeks[E comparable]() *Seeks[E] {
	return &Seeks[E]{by: make(map[E]*seeker), polls: make(map[sought]int64)}
}

// Due takes a frame for a station that was flooded by an edge, the zero edge for our own
// side, and goes to an address. It reports whether the station is to be polled now.
func (s *Seeks[E]) Due(now int64, by E, key Key, addr netip.Addr) bool {
	what := sought{key, addr}
	s.mu.Lock()
	defer s.mu.Unlock()
	from := s.seeker(now, by)
	if from == nil || !from.goesOn(now, what) {
		return false
	}
	if at, ok := s.polls[what]; ok && now-at < seekEvery {
		return false
	}
	one, all := max(from.paid, now)+int64(time.Second/seekRate), max(s.paid, now)+int64(time.Second/seekRateAll)
	if one > now+seekBurst || all > now+seekBurstAll {
		return false
	}
	from.paid, s.paid = one, all
	if len(s.polls) >= maxPolls { // more than are paid for within seekEvery
		for other, at := range s.polls {
			if now-at >= seekEvery {
				delete(s.polls, other)
			}
		}
	}
	s.polls[what] = now
	return true
}

// seeker returns what is known of an edge's frames, nil if there is no room for more.
func (s *Seeks[E]) seeker(now int64, by E) *seeker {
	from := s.by[by]
	if from != nil {
		return from
	}
	if len(s.by) >= maxSeekers && now-s.swept > seekAge {
		s.swept = now
		for other, from := range s.by {
			if from.paid <= now && from.sweep(now) == 0 {
				delete(s.by, other)
			}
		}
	}
	if len(s.by) >= maxSeekers {
		return nil
	}
	from = &seeker{flooded: make(map[sought]times)}
	s.by[by] = from
	return from
}

// goesOn notes a frame, and reports whether such frames have been flooded for a while.
func (s *seeker) goesOn(now int64, what sought) bool {
	t, ok := s.flooded[what]
	if !ok && len(s.flooded) >= maxSought && (now-s.swept <= seekEvery || s.sweep(now) >= maxSought) {
		return false
	}
	if !ok || now-t.last > seekAge {
		t.first = now
	}
	t.last = now
	s.flooded[what] = t
	return now-t.first >= seekAfter
}

// sweep forgets that for which there are no frames any more, and returns how much is left.
func (s *seeker) sweep(now int64) int {
	s.swept = now
	for what, t := range s.flooded {
		if now-t.last > seekAge {
			delete(s.flooded, what)
		}
	}
	return len(s.flooded)
}
