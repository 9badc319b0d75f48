// Package pmap has a persistent hash map: a change makes another map and leaves
// the one before as it was, and costs what changed and not the size of the map.
// It is a hash trie of nodes with 64 places each (Bagwell, Ideal Hash Trees,
// 2001): a change copies the nodes between the root and one entry, which are two
// or three for some thousand entries.
//
// A map is for a reader that must never see it change and a writer that changes
// it often. Any number of goroutines may read one map at a time.
package pmap

import (
	"hash/maphash"
	"iter"
	"math/bits"
	"slices"
)

// Bits of the hash that choose a place in one node, and how many nodes a hash is
// enough for. Entries whose hashes are all the same lie in a list behind those.
const (
	nodeBits = 6
	nodeMask = 1<<nodeBits - 1
	levels   = (64 + nodeBits - 1) / nodeBits
)

// fewEntries are so few that comparing each takes less time than hashing.
const fewEntries = 8

// Map is a map from K to V that never changes. Its zero value is empty and ready
// for use. It is small and passed by value. Keys must hold no pointers, or a
// look-up allocates.
type Map[K comparable, V any] struct {
	// hash has a seed of its own in every family of maps, so that whoever chooses
	// keys cannot make them collide. It is nil in the zero map.
	hash func(K) uint64
	root *node[K, V] // nil: the map is empty
	size int
}

// node holds the entries and the nodes of up to 64 places, close together and in
// the order of the places. A node without places is the list behind the last
// level: its entries have one hash and are searched one by one.
type node[K comparable, V any] struct {
	leaves   uint64 // the places of entries
	branches uint64 // the places of nodes
	entries  []entry[K, V]
	nodes    []*node[K, V]
}

type entry[K comparable, V any] struct {
	key   K
	value V
}

// Len returns how many entries there are.
func (m Map[K, V]) Len() int { return m.size }

// Get returns the value of a key, or the zero value if there is none. It
// allocates nothing.
func (m *Map[K, V]) Get(key K) V {
	v, _ := m.Find(key)
	return v
}

// Find returns the value of a key, and whether there is one. It allocates
// nothing.
func (m *Map[K, V]) Find(key K) (value V, ok bool) {
	n := m.root
	if n == nil {
		return value, false
	}
	if n.branches == 0 && len(n.entries) <= fewEntries {
		for i := range n.entries {
			if e := &n.entries[i]; e.key == key {
				return e.value, true
			}
		}
		return value, false
	}
	for h := m.hash(key); ; h >>= nodeBits {
		bit := uint64(1) << (h & nodeMask)
		if n.branches&bit != 0 {
			n = n.nodes[place(n.branches, bit)]
			continue
		}
		if n.leaves&bit != 0 {
			if e := &n.entries[place(n.leaves, bit)]; e.key == key {
				return e.value, true
			}
			return value, false
		}
		if n.isList() {
			if i := n.index(key); i >= 0 {
				return n.entries[i].value, true
			}
		}
		return value, false
	}
}

// All returns the entries in no order.
func (m Map[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) { m.root.all(yield) }
}

// With returns the map with a value for a key.
func (m Map[K, V]) With(key K, value V) Map[K, V] {
	if m.hash == nil {
		seed := maphash.MakeSeed()
		m.hash = func(k K) uint64 { return maphash.Comparable(seed, k) }
	}
	root, added := m.root.with(m.hash, m.hash(key), 0, entry[K, V]{key, value})
	m.root = root
	if added {
		m.size++
	}
	return m
}

// Without returns the map without a key.
func (m Map[K, V]) Without(key K) Map[K, V] {
	if _, ok := m.Find(key); !ok {
		return m
	}
	m.root = m.root.without(m.hash(key), key)
	m.size--
	return m
}

// place returns how many places of a set are before the one of bit.
func place(set, bit uint64) int { return bits.OnesCount64(set & (bit - 1)) }

func (n *node[K, V]) isList() bool { return n.leaves|n.branches == 0 }

// index returns where a key is in a list, or -1.
func (n *node[K, V]) index(key K) int {
	return slices.IndexFunc(n.entries, func(e entry[K, V]) bool { return e.key == key })
}

// all calls yield for every entry at and below a node until it returns false. It
// reports whether that never happened.
func (n *node[K, V]) all(yield func(K, V) bool) bool {
	if n == nil {
		return true
	}
	for i := range n.entries {
		if e := &n.entries[i]; !yield(e.key, e.value) {
			return false
		}
	}
	for _, below := range n.nodes {
		if !below.all(yield) {
			return false
		}
	}
	return true
}

// with returns a copy of a node that has an entry, and whether its key is new. h
// is what this level and those below have of the key's hash; hash makes that of
// another key which has to give way.
func (n *node[K, V]) with(hash func(K) uint64, h uint64, level int, e entry[K, V]) (made *node[K, V], added bool) {
	if n == nil {
		n = &node[K, V]{}
	}
	if level == levels {
		return n.listWith(e)
	}
	c := *n
	bit := uint64(1) << (h & nodeMask)
	switch at := place(n.leaves, bit); {
	case n.branches&bit != 0:
		i := place(n.branches, bit)
		c.nodes = slices.Clone(n.nodes)
		c.nodes[i], added = n.nodes[i].with(hash, h>>nodeBits, level+1, e)
		return &c, added
	case n.leaves&bit == 0:
		c.leaves |= bit
		c.entries = inserted(n.entries, at, e)
		return &c, true
	case n.entries[at].key == e.key:
		c.entries = slices.Clone(n.entries)
		c.entries[at] = e
		return &c, false
	default: // two entries have this place: both move to a node of their own
		old := n.entries[at]
		below, _ := (*node[K, V])(nil).with(hash, hash(old.key)>>(nodeBits*(level+1)), level+1, old)
		below, _ = below.with(hash, h>>nodeBits, level+1, e)
		c.leaves &^= bit
		c.branches |= bit
		c.entries = removed(n.entries, at)
		c.nodes = inserted(n.nodes, place(c.branches, bit), below)
		return &c, true
	}
}

// listWith is with for a list.
func (n *node[K, V]) listWith(e entry[K, V]) (made *node[K, V], added bool) {
	if i := n.index(e.key); i >= 0 {
		entries := slices.Clone(n.entries)
		entries[i] = e
		return &node[K, V]{entries: entries}, false
	}
	return &node[K, V]{entries: inserted(n.entries, len(n.entries), e)}, true
}

// without returns a copy of a node that lacks a key which it has, nil if nothing
// is left.
func (n *node[K, V]) without(h uint64, key K) *node[K, V] {
	c := *n
	bit := uint64(1) << (h & nodeMask)
	switch {
	case n.isList():
		c.entries = removed(n.entries, n.index(key))
	case n.leaves&bit != 0:
		c.leaves &^= bit
		c.entries = removed(n.entries, place(n.leaves, bit))
	default:
		i := place(n.branches, bit)
		below := n.nodes[i].without(h>>nodeBits, key)
		if len(below.nodes) > 0 || len(below.entries) > 1 {
			c.nodes = slices.Clone(n.nodes)
			c.nodes[i] = below
			return &c
		}
		// The last entry of a node takes its place, so that a map which shrinks is
		// as flat as one that never was larger.
		c.branches &^= bit
		c.leaves |= bit
		c.nodes = removed(n.nodes, i)
		c.entries = inserted(n.entries, place(c.leaves, bit), below.entries[0])
	}
	if len(c.entries)+len(c.nodes) == 0 {
		return nil
	}
	return &c
}

// inserted returns a copy of a list with an element at a place.
func inserted[E any](list []E, at int, e E) []E {
	made := make([]E, len(list)+1)
	copy(made, list[:at])
	made[at] = e
	copy(made[at+1:], list[at:])
	return made
}

// removed returns a copy of a list without the element at a place.
func removed[E any](list []E, at int) []E {
	if len(list) == 1 {
		return nil
	}
	made := make([]E, len(list)-1)
	copy(made, list[:at])
	copy(made[at:], list[at+1:])
	return made
}
