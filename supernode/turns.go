package supernode

// turns is a queue in which keys have turns: the one whose turn it was goes to the end.
// Each has a value. The zero value is empty.
type turns[K comparable, V any] struct {
	order  []K // without the one whose turn it is
	values map[K]*V
}

// of returns the value of a key. A new key has the zero value, and its turn after all
// others.
func (t *turns[K, V]) of(k K) *V {
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

// take returns the key whose turn it is. pass or end has to follow. There is one.
func (t *turns[K, V]) take() (K, *V) {
	k := t.order[0]
	t.order = t.order[1:]
	return k, t.values[k]
}

// pass gives the turn of a key to the next; with end it has no more.
func (t *turns[K, V]) pass(k K, end bool) {
	if end {
		delete(t.values, k)
	} else {
		t.order = append(t.order, k)
	}
}
