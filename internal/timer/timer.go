package timer

import "time"

// Timer is one thing that is done at a time. The zero value is not set and can
// only be asked and stopped; New makes one that can be set. It is a field of what
// it belongs to, by value, and is not copied once it was set. Who ends the life of
// that state stops its timers, since a timer that is set is kept by its queue.
type Timer struct {
	_     noCopy
	queue *Queue
	name  string
	call  func(now time.Time)
	at    time.Time
	seq   uint64 // of its setting, so that equal times run in the order of Set
	run   uint64 // the last Run that called it
	place int    // 1 + index in the heap; -1 - index in parked; 0: not set
}

// New returns a timer of a queue that is not set. Once it is due, call is called
// by Queue.Run with that Run's time. name says in tests which timer misbehaves.
func New(q *Queue, name string, call func(now time.Time)) Timer {
	return Timer{queue: q, name: name, call: call}
}

// Set registers the timer for a time, or moves it there; the zero time stops it.
// What lies in the past is done by the next Run, or by the one under way unless
// that one has called this timer already. It allocates nothing but the room of a
// queue that grows. A timer that New did not make panics.
func (t *Timer) Set(at time.Time) {
	if t.queue == nil {
		panic("timer: Set of a timer that New did not make")
	}
	t.queue.set(t, at)
}

// NotAfter makes sure that the timer is due at a time at the latest: it sets a
// timer that is not set or is set for later, and leaves another alone.
func (t *Timer) NotAfter(at time.Time) {
	if !t.IsSet() || at.Before(t.at) {
		t.Set(at)
	}
}

// Stop takes the timer back. It may be called at any time, also for a timer that
// is not set and from within the timer's own call.
func (t *Timer) Stop() {
	if t.IsSet() {
		t.queue.remove(t)
	}
}

// At returns when the timer is due, the zero time when it is not set. While the
// timer's call runs, it is not set.
func (t *Timer) At() time.Time { return t.at }

// IsSet reports whether the timer is set.
func (t *Timer) IsSet() bool { return t.place != 0 }

// noCopy makes go vet complain about copies.
type noCopy struct{}

func (*noCopy) Lock()   {}
func (*noCopy) Unlock() {}
