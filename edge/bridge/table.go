package bridge

import (
	"slices"
	"sync"
)

// table is what an FDB and a Proxy know, of which each entry is behind an edge; the zero
// edge stands for our own side. Its bounds are for each edge, so that one cannot push out
// what others need. Whoever calls old, full, add or forget holds the lock.
type table[K comparable, E Edge, V placed[E]] struct {
	mu      sync.RWMutex
	size    Size
	entries map[K]V
	behind  map[E]int // how many entries each edge has
	refused uint64    // entries that were one too many
	gone    func(K)   // is called for each entry that is forgotten; nil: nothing is
}

// placed is an entry of a table.
type placed[E Edge] interface {
	// place returns the edge that it is behind, and until when it is known.
	place() (edge E, until int64)
}

func newTable[K comparable, E Edge, V placed[E]](size Size) table[K, E, V] {
	return table[K, E, V]{size: size, entries: make(map[K]V), behind: make(map[E]int)}
}

// old reports whether an entry is as if it were not there.
func (t *table[K, E, V]) old(now int64, v V) bool {
	var here E
	edge, until := v.place()
	return now > until || edge != here && edge.Retired()
}

// full reports whether there is no room for more behind an edge.
func (t *table[K, E, V]) full(edge E) bool {
	var here E
	return t.behind[edge] >= t.size.Behind || edge != here && len(t.entries)-t.behind[here] >= t.size.All
}

// add makes an entry for a key that has none, unless a bound is reached.
func (t *table[K, E, V]) add(key K, v V) {
	edge, _ := v.place()
	if t.full(edge) {
		t.refused++
		return
	}
	t.entries[key] = v
	t.behind[edge]++
}

// forget removes the entry of a key.
func (t *table[K, E, V]) forget(key K, v V) {
	edge, _ := v.place()
	delete(t.entries, key)
	if t.behind[edge]--; t.behind[edge] == 0 {
		delete(t.behind, edge)
	}
	if t.gone != nil {
		t.gone(key)
	}
}

// remove removes the entries behind some edges.
func (t *table[K, E, V]) remove(behind func(E) bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.entries {
		if edge, _ := v.place(); behind(edge) {
			t.forget(key, v)
		}
	}
}

// handover moves the entries behind an edge to where moved puts them.
func (t *table[K, E, V]) handover(from E, moved func(K, V) V) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, v := range t.entries {
		if edge, _ := v.place(); edge == from {
			t.forget(key, v)
			t.add(key, moved(key, v))
		}
	}
}

// sweepStep is how many entries are removed before the lock is given to others.
const sweepStep = 64

// sweep removes old entries. It looks for them while frames look theirs up, and removes a
// few at a time.
func (t *table[K, E, V]) sweep(now int64) {
	t.mu.RLock()
	var old []K
	for key, v := range t.entries {
		if t.old(now, v) {
			old = append(old, key)
		}
	}
	t.mu.RUnlock()
	for keys := range slices.Chunk(old, sweepStep) {
		t.mu.Lock()
		for _, key := range keys {
			if v, ok := t.entries[key]; ok && t.old(now, v) {
				t.forget(key, v)
			}
		}
		t.mu.Unlock()
	}
}

// elsewhere returns how many entries are behind other edges, and how many can be.
func (t *table[K, E, V]) elsewhere() (n, most int) {
	var here E
	t.mu.RLock()
	defer t.mu.RUnlock()
	return len(t.entries) - t.behind[here], t.size.All
}
