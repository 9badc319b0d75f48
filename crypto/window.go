package crypto

import "sync"

// Window remembers which counters below the highest one have been seen, so that
// no packet is accepted twice (RFC 6479: a ring of words with one spare, so that
// the window moves by clearing words and never by shifting bits). The ring is
// made at the first Commit, because most sessions of a supernode never relay.
// Not safe for concurrent use.
type Window struct {
	last  uint64   // highest counter committed
	size  uint64   // how many counters below last it distinguishes
	head  int      // the word of the ring that holds last
	ring  []uint64 // size/64 + 1 words, nil until the first Commit
	empty bool     // nothing is committed yet
}

// NewWindow returns an empty window of that many counters, rounded up to a
// multiple of 64.
func NewWindow(bits int) *Window {
	w := makeWindow(bits)
	return &w
}

// makeWindow is NewWindow for a window that lives inside another struct.
func makeWindow(bits int) Window {
	words := max((bits+63)/64, 1)
	return Window{size: uint64(words) * 64, empty: true}
}

// Check reports whether ctr is new: neither seen nor too old to tell. It
// changes nothing, so it is safe to ask before a packet is authenticated.
func (w *Window) Check(ctr uint64) bool {
	switch {
	case w.empty || ctr > w.last:
		return true
	case w.last-ctr >= w.size:
		return false
	}
	return w.ring[w.word(ctr)]&(1<<(ctr%64)) == 0
}

// Commit records ctr and reports whether it was new. Call it only after the
// packet has been authenticated, for it moves the window.
func (w *Window) Commit(ctr uint64) bool {
	if !w.Check(ctr) {
		return false
	}
	if w.ring == nil {
		w.ring = make([]uint64, w.size/64+1)
	}
	if w.empty || ctr > w.last {
		w.advance(ctr)
	}
	w.ring[w.word(ctr)] |= 1 << (ctr % 64)
	return true
}

// word returns the index in the ring of the word that holds ctr, which is
// inside the window. It counts back from head, which spares a division.
func (w *Window) word(ctr uint64) int {
	i := w.head - int(w.last/64-ctr/64)
	if i < 0 {
		i += len(w.ring)
	}
	return i
}

// advance makes ctr the highest counter and clears the words that this brings
// into the window.
func (w *Window) advance(ctr uint64) {
	if step := ctr/64 - w.last/64; step >= uint64(len(w.ring)) {
		clear(w.ring)
	} else {
		for range step {
			if w.head++; w.head == len(w.ring) {
				w.head = 0
			}
			w.ring[w.head] = 0
		}
	}
	w.last, w.empty = ctr, false
}

// replayGuard is a window for several goroutines, and the numbers that a PONG
// reports. The order is always check, open, commit: the lock is not held while
// a packet is opened, and of two copies opened at once one commit fails.
type replayGuard struct {
	mu     sync.Mutex
	window Window
	count  uint32 // packets committed, modulo 2^32
}

// check reports whether ctr is new.
func (r *replayGuard) check(ctr uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.Check(ctr)
}

// commit records ctr of an authenticated packet; false means that a copy of it
// was faster.
func (r *replayGuard) commit(ctr uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.window.Commit(ctr) {
		return false
	}
	r.count++
	return true
}

// received returns the highest counter and how many packets came.
func (r *replayGuard) received() (highest uint64, count uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.window.last, r.count
}
