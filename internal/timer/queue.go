package timer

import (
	"container/heap"
	"time"
)

// Queue holds the timers of one loop, ordered by their time. Its zero value is
// empty and ready. Setting, moving and stopping one of n timers takes O(log n).
type Queue struct {
	// Strict is called with the name of a timer whose own call sets it to a time
	// that is not after the time of the Run: such a loop would never sleep. Nil:
	// the timer is called by every Run, which is what it asked for.
	Strict func(name string)

	timers  byTime
	parked  []*Timer // called by this Run and due again: for the next one
	seq     uint64
	run     uint64
	now     time.Time // of the Run under way
	current *Timer    // whose call is under way
	running bool
}

// Len returns how many timers are set.
func (q *Queue) Len() int { return len(q.timers) + len(q.parked) }

// Next returns when the first timer is due, the zero time when none is set.
func (q *Queue) Next() (at time.Time) {
	if len(q.timers) > 0 {
		at = q.timers[0].at
	}
	for _, t := range q.parked {
		if at.IsZero() || t.at.Before(at) {
			at = t.at
		}
	}
	return at
}

// Run calls every timer that is due at now, the earliest first, and those of one
// time in the order in which they were set. A timer is not set any more when it is
// called, and may set itself and others, or stop others: what thereby becomes due
// is called by the same Run, but no timer twice. Run must not be called from a
// timer's call; it panics then.
func (q *Queue) Run(now time.Time) {
	if q.running {
		panic("timer: Run within Run")
	}
	q.running, q.now = true, now
	q.run++
	for len(q.timers) > 0 && !q.timers[0].at.After(now) {
		t := q.timers[0]
		q.remove(t)
		t.run, q.current = q.run, t
		t.call(now)
		q.current = nil
	}
	q.running = false
	for _, t := range q.parked {
		q.push(t)
	}
	clear(q.parked)
	q.parked = q.parked[:0]
}

// set moves a timer to a time, wherever it is now.
func (q *Queue) set(t *Timer, at time.Time) {
	if at.IsZero() {
		q.remove(t)
		return
	}
	due := q.running && !at.After(q.now)
	if due && t == q.current && q.Strict != nil {
		q.Strict(t.name)
	}
	q.seq++
	again := due && t.run == q.run
	if t.place > 0 && !again {
		t.at, t.seq = at, q.seq
		heap.Fix(&q.timers, t.place-1)
		return
	}
	q.remove(t)
	t.at, t.seq = at, q.seq
	if again {
		q.parked = append(q.parked, t)
		t.place = -len(q.parked)
		return
	}
	q.push(t)
}

// push puts a timer with its time into the heap.
func (q *Queue) push(t *Timer) { heap.Push(&q.timers, t) }

// remove ends that a timer is set, if it is.
func (q *Queue) remove(t *Timer) {
	switch {
	case t.place > 0:
		heap.Remove(&q.timers, t.place-1)
	case t.place < 0:
		last := len(q.parked) - 1
		i := -t.place - 1
		q.parked[i] = q.parked[last]
		q.parked[i].place = -i - 1
		q.parked[last] = nil
		q.parked = q.parked[:last]
	}
	t.place, t.at = 0, time.Time{}
}

// byTime is the heap; each timer knows its place in it.
type byTime []*Timer

func (h byTime) Len() int { return len(h) }

func (h byTime) Less(i, j int) bool {
	a, b := h[i], h[j]
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.seq < b.seq
}

func (h byTime) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i+1, j+1
}

func (h *byTime) Push(x any) {
	t := x.(*Timer)
	*h = append(*h, t)
	t.place = len(*h)
}

func (h *byTime) Pop() any {
	last := len(*h) - 1
	t := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return t
}
