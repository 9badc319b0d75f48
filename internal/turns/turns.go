// Package turns has the queue in which keys take turns, so that no key waits for longer
// because another one has more waiting: communities, or the networks that strangers are in.
package turns

// Turns is a queue in which keys have turns: the one whose turn it was goes to the end.
// Each has a value. The zero value is empty. It has no lock.
type Turns[K comparable, V any] struct {
	order  []K // without the one whose turn it is
	values map[K]*V
}

// Len returns how many keys there are, the one whose turn it is included.
func (t *Turns[K, V]) Len() int { return len(t.values) }

// Of returns the value of a key. A new key has the zero value, and its turn after all
// others.
func (t *Turns[K, V]) Of(k K) *V {
	v := t.values[k]
	if v == nil {
		if t.values == nil {
			t.values = make(map[K]*V)
		}
		v = new(V)
		t.values[k] = v
		t.order = append(t.order, k)
	}
	return v
}

// Take returns the key whose turn it is. Pass has to follow. There is a key.
func (t *Turns[K, V]) Take() (K, *V) {
	k := t.order[0]
	t.order = t.order[1:]
	return k, t.values[k]
}

// Pass gives the turn of a key to the next; with end it has no more.
func (t *Turns[K, V]) Pass(k K, end bool) {
	if end {
		delete(t.values, k)
	} else {
		t.order = append(t.order, k)
	}
}
