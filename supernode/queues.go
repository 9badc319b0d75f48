package supernode

import "context"

// queues hold what waits for a goroutine that does what takes long: what registered edges
// have sent, and what strangers have. The former goes first.
type queues[T any] struct{ members, strangers chan T }

// newQueues returns queues of so many places each.
func newQueues[T any](most int) queues[T] {
	return queues[T]{members: make(chan T, most), strangers: make(chan T, most)}
}

// put queues something, and reports whether there was room. It never waits.
func (q queues[T]) put(member bool, v T) bool {
	to := q.strangers
	if member {
		to = q.members
	}
	select {
	case to <- v:
		return true
	default:
		return false
	}
}

// waiting returns what is next, if anything waits.
func (q queues[T]) waiting() (v T, ok bool) {
	select {
	case v = <-q.members:
		return v, true
	default:
	}
	select {
	case v = <-q.strangers:
		return v, true
	default:
		return v, false
	}
}

// next waits for what is next. ok is false when ctx has ended.
func (q queues[T]) next(ctx context.Context) (v T, ok bool) {
	if v, ok = q.waiting(); ok {
		return v, true
	}
	select {
	case v = <-q.members:
	case v = <-q.strangers:
	case <-ctx.Done():
		return v, false
	}
	return v, true
}
