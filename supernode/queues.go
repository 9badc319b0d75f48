package supernode

import (
	"context"
	"sync"
	"time"
)

// queues hold what waits for a goroutine that does what takes long: what registered edges
// have asked for, and what strangers have. The former goes first, and each in the order in
// which it came.
//
// Whoever asks again while it waits keeps its place, and its newest question is answered. So
// a crowd that asks faster than it is answered takes no work for what nobody waits for any
// more, and as much is answered as can be, however many ask.
type queues[K comparable, V any] struct {
	mu                 sync.Mutex
	members, strangers queue[K, V]
	bell               chan struct{} // something waits
	most               int           // places of each
	// late is told of what has waited for longer than patience, since whoever asked waits for
	// the answer no more. Nil: nothing is ever late.
	patience time.Duration
	late     func(V)
}

// queue is one of them.
type queue[K comparable, V any] struct {
	order []*place[K, V] // the next in front
	of    map[K]*place[K, V]
}

// place is what waits.
type place[K comparable, V any] struct {
	key   K // zero: nobody's that can be named
	value V
	asked time.Time
}

// newQueues returns queues of so many places each.
func newQueues[K comparable, V any](most int) *queues[K, V] {
	q := &queues[K, V]{bell: make(chan struct{}, 1), most: most}
	q.members.of, q.strangers.of = make(map[K]*place[K, V]), make(map[K]*place[K, V])
	return q
}

func (q *queues[K, V]) side(member bool) *queue[K, V] {
	if member {
		return &q.members
	}
	return &q.strangers
}

// put queues something, in the place of what the same key has asked for before, and reports
// whether there was room. It never waits. A zero key has a place for everything.
func (q *queues[K, V]) put(now time.Time, member bool, key K, v V) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	side := q.side(member)
	if p := side.of[key]; p != nil {
		p.value, p.asked = v, now
		return true
	}
	if len(side.order) >= q.most {
		return false
	}
	p := &place[K, V]{key: key, value: v, asked: now}
	side.order = append(side.order, p)
	if key != *new(K) {
		side.of[key] = p
	}
	ring(q.bell)
	return true
}

// holds reports whether something of a key waits.
func (q *queues[K, V]) holds(member bool, key K) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.side(member).of[key] != nil
}

// count returns how much waits of registered edges, or of strangers.
func (q *queues[K, V]) count(member bool) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.side(member).order)
}

// waiting returns what is next, if anything waits.
func (q *queues[K, V]) waiting(now time.Time) (v V, ok bool) {
	for {
		p := q.take()
		switch {
		case p == nil:
			return v, false
		case q.late == nil || now.Sub(p.asked) <= q.patience:
			return p.value, true
		}
		q.late(p.value)
	}
}

// take takes the first place; nil if nothing waits.
func (q *queues[K, V]) take() *place[K, V] {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, side := range [...]*queue[K, V]{&q.members, &q.strangers} {
		if len(side.order) == 0 {
			continue
		}
		p := side.order[0]
		side.order[0], side.order = nil, side.order[1:]
		delete(side.of, p.key)
		return p
	}
	return nil
}

// next waits for what is next. ok is false when ctx has ended. One goroutine calls it.
func (q *queues[K, V]) next(ctx context.Context, now func() time.Time) (v V, ok bool) {
	for ctx.Err() == nil {
		if v, ok = q.waiting(now()); ok {
			return v, true
		}
		select {
		case <-q.bell:
		case <-ctx.Done():
		}
	}
	return v, false
}

// ring fills a channel that is a bell.
func ring(bell chan struct{}) {
	select {
	case bell <- struct{}{}:
	default:
	}
}
