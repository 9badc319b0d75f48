package network

import "net/netip"

// Crowd is a set of strangers that compete for places. The set itself is not
// bounded: its owner removes the one that Yielding names whenever there are more than
// it has places for. So a network gets what no other one claims, and at least an
// equal share, however many of its addresses ask.
//
// All methods take time logarithmic in the number of networks. A Crowd costs its
// owner at most 1000 bytes for each stranger. Its zero value is not usable; NewCrowd
// makes one. It is not safe for concurrent use.
type Crowd[T any] struct {
	all   node[T]
	nodes map[Key]*node[T]
	last  uint64 // number of the newest network
}

// Place is the place of one stranger.
type Place[T any] struct {
	// Value is whose place it is.
	Value T

	leaf       *node[T]
	confirmed  bool
	prev, next *Place[T]
}

// node is a network in which there are strangers.
type node[T any] struct {
	key    Key
	parent *node[T]
	inner  []*node[T] // networks in it: a heap, the one that yields before the others first
	at     int        // in parent.inner
	number uint64     // rises from one new network to the next
	count  int
	silent int // of them, unconfirmed

	// Of the innermost networks only:
	unconfirmed, confirmed queue[T]
}

// queue holds places in the order in which they were taken.
type queue[T any] struct{ first, last *Place[T] }

// NewCrowd returns an empty crowd.
func NewCrowd[T any]() *Crowd[T] {
	return &Crowd[T]{nodes: make(map[Key]*node[T])}
}

// Len returns how many strangers there are.
func (c *Crowd[T]) Len() int { return c.all.count }

// Add adds an unconfirmed stranger that came from an address.
func (c *Crowd[T]) Add(from netip.Addr, value T) *Place[T] {
	keys, at := Of(from), &c.all
	at.count++
	at.silent++
	for i := len(keys) - 1; i >= 0; i-- {
		n := c.nodes[keys[i]]
		if n == nil {
			c.last++
			n = &node[T]{key: keys[i], parent: at, at: len(at.inner), number: c.last}
			c.nodes[keys[i]] = n
			at.inner = append(at.inner, n)
		}
		n.count++
		n.silent++
		n.rise()
		at = n
	}
	p := &Place[T]{Value: value, leaf: at}
	at.unconfirmed.push(p)
	return p
}

// Confirm notes that a stranger has shown that it is there. It becomes the newest of
// the confirmed ones of its network, which yield after the unconfirmed ones.
func (c *Crowd[T]) Confirm(p *Place[T]) {
	if p.leaf == nil || p.confirmed {
		return
	}
	p.leaf.unconfirmed.remove(p)
	p.confirmed = true
	p.leaf.confirmed.push(p)
	for n := p.leaf; n != nil; n = n.parent {
		n.silent--
		if n.parent != nil {
			n.sink()
		}
	}
}

// Remove removes a stranger. One that is not in the crowd any more is ignored.
func (c *Crowd[T]) Remove(p *Place[T]) {
	n, silent := p.leaf, 1
	if n == nil {
		return
	}
	if p.confirmed {
		n.confirmed.remove(p)
		silent = 0
	} else {
		n.unconfirmed.remove(p)
	}
	p.leaf = nil
	for ; n != nil; n = n.parent {
		n.count--
		n.silent -= silent
		if n.parent == nil {
			return
		}
		n.sink()
		if n.count == 0 {
			n.parent.forget(n)
			delete(c.nodes, n.key)
		}
	}
}

// Yielding returns who makes room for others, nil for an empty crowd: in the most
// crowded network, and in the most crowded one within it, the oldest unconfirmed
// stranger, or the oldest if all are confirmed. Of networks with as many strangers the
// one yields that has more unconfirmed ones, and of those the one that came first, so
// that no newcomer yields to what has as much as it.
func (c *Crowd[T]) Yielding() *Place[T] { return c.all.yielding() }

func (n *node[T]) yielding() *Place[T] {
	for len(n.inner) > 0 {
		n = n.inner[0]
	}
	if n.unconfirmed.first != nil {
		return n.unconfirmed.first
	}
	return n.confirmed.first
}

// yieldsBefore reports whether strangers of n make room before those of other.
func (n *node[T]) yieldsBefore(other *node[T]) bool {
	if n.count != other.count {
		return n.count > other.count
	}
	if n.silent != other.silent {
		return n.silent > other.silent
	}
	return n.number < other.number
}

// rise restores the order of the heap after n has become more crowded.
func (n *node[T]) rise() {
	heap := n.parent.inner
	for n.at > 0 {
		above := heap[(n.at-1)/2]
		if !n.yieldsBefore(above) {
			return
		}
		n.swap(above)
	}
}

// sink restores the order of the heap after n has become less crowded.
func (n *node[T]) sink() {
	heap := n.parent.inner
	for {
		first := n
		for child := 2*n.at + 1; child <= 2*n.at+2 && child < len(heap); child++ {
			if heap[child].yieldsBefore(first) {
				first = heap[child]
			}
		}
		if first == n {
			return
		}
		n.swap(first)
	}
}

// swap exchanges two networks of one heap.
func (n *node[T]) swap(other *node[T]) {
	heap := n.parent.inner
	heap[n.at], heap[other.at] = other, n
	n.at, other.at = other.at, n.at
}

// forget takes an empty network out of the heap. It has sunk: none below it is less
// crowded, so that what takes its place may only have to rise.
func (n *node[T]) forget(empty *node[T]) {
	last := len(n.inner) - 1
	moved := n.inner[last]
	if moved != empty {
		moved.swap(empty)
	}
	n.inner[last] = nil
	n.inner = n.inner[:last]
	if moved != empty {
		moved.rise()
		moved.sink()
	}
}

func (q *queue[T]) push(p *Place[T]) {
	p.prev, p.next = q.last, nil
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
}

func (q *queue[T]) remove(p *Place[T]) {
	if p.prev == nil {
		q.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	p.prev, p.next = nil, nil
}
