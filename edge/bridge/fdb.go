package bridge

import (
	"slices"
	"sync"
	"time"

	"hedgerow/protocol"
)

// Bounds of the forwarding database.
const (
	Age        = 300 * time.Second // IEEE 802.1Q, table 8-6: ageing time
	MaxEntries = 4096              // entries in all
	MaxBehind  = 1024              // entries behind one edge
)

// SweepEvery is how often Sweep is worth calling.
const SweepEvery = 10 * time.Second

// Key is a hardware address in a VLAN; 0 stands for untagged.
type Key struct {
	VLAN uint16
	MAC  protocol.MAC
}

// Edge is what a station is behind: a pointer to a peer.
type Edge interface {
	comparable
	// Retired reports whether the edge is gone for good. Whatever is behind it is as
	// if it were not there.
	Retired() bool
}

type entry[E Edge] struct {
	edge E
	seen int64 // nanoseconds since the edge started
}

// FDB is the forwarding database: which edge a hardware address was last
// heard behind. It holds hosts behind edges only; the edges' own addresses are
// in the table, and beat it. The queues learn and look up, the control loop ages.
type FDB[E Edge] struct {
	mu      sync.RWMutex
	entries map[Key]entry[E]
	behind  map[E]int
	moves   uint64
}

// New returns an empty database.
func New[E Edge]() *FDB[E] {
	return &FDB[E]{entries: make(map[Key]entry[E]), behind: make(map[E]int)}
}

// Lookup returns the edge that a host was learned behind, or none. An entry
// past its age does not count.
func (f *FDB[E]) Lookup(now int64, key Key) E {
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	if !ok || now-e.seen > int64(Age) || e.edge.Retired() {
		var none E
		return none
	}
	return e.edge
}

// Learn notes that a host is behind an edge. At a bound nothing is learned,
// so that one edge cannot push out what others need.
func (f *FDB[E]) Learn(now int64, key Key, p E) {
	f.mu.RLock()
	e, ok := f.entries[key]
	f.mu.RUnlock()
	// Refreshing once a second spares the write lock on every frame.
	if ok && e.edge == p && now-e.seen < int64(time.Second) {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	e, ok = f.entries[key]
	if ok && e.edge == p {
		f.entries[key] = entry[E]{edge: p, seen: now}
		return
	}
	if f.behind[p] >= MaxBehind || (!ok && len(f.entries) >= MaxEntries) {
		return
	}
	if ok {
		f.forget(key, e)
		f.moves++
	}
	f.entries[key] = entry[E]{edge: p, seen: now}
	f.behind[p]++
}

// Local notes that a host sent from our own side, so it is behind no edge.
func (f *FDB[E]) Local(key Key) {
	f.mu.RLock()
	_, ok := f.entries[key]
	f.mu.RUnlock()
	if !ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if e, ok := f.entries[key]; ok {
		f.forget(key, e)
		f.moves++
	}
}

// forget removes an entry; the lock is held.
func (f *FDB[E]) forget(key Key, e entry[E]) {
	delete(f.entries, key)
	if f.behind[e.edge]--; f.behind[e.edge] == 0 {
		delete(f.behind, e.edge)
	}
}

// sweepStep is how many entries are removed before the lock is given to others.
const sweepStep = 64

// Sweep removes entries past their age. It looks for them while frames look theirs
// up, and removes a few at a time.
func (f *FDB[E]) Sweep(now int64) {
	f.mu.RLock()
	var old []Key
	for key, e := range f.entries {
		if now-e.seen > int64(Age) {
			old = append(old, key)
		}
	}
	f.mu.RUnlock()
	for keys := range slices.Chunk(old, sweepStep) {
		f.mu.Lock()
		for _, key := range keys {
			if e, ok := f.entries[key]; ok && now-e.seen > int64(Age) {
				f.forget(key, e)
			}
		}
		f.mu.Unlock()
	}
}

// Flush removes everything behind an edge that has gone. A queue may
// still learn under the old table: such an entry is as if it were not there.
func (f *FDB[E]) Flush(p E) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for key, e := range f.entries {
		if e.edge == p {
			f.forget(key, e)
		}
	}
}

// Hosts returns how many hosts are behind an edge.
func (f *FDB[E]) Hosts(p E) int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.behind[p]
}

// Size returns how many entries there are.
func (f *FDB[E]) Size() int {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return len(f.entries)
}

// Moves returns how often a station moved.
func (f *FDB[E]) Moves() uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.moves
}
