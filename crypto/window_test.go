package crypto

import (
	"encoding/binary"
	"fmt"
	"math"
	"sync"
	"testing"
)

// sModel is a window that is too simple to be wrong: every counter ever seen.
type sModel struct {
	seen map[uint64]bool
	last uint64
	size uint64
}

func (m *sModel) check(ctr uint64) bool {
	if len(m.seen) == 0 || ctr > m.last {
		return true
	}
	return m.last-ctr < m.size && !m.seen[ctr]
}

func (m *sModel) commit(ctr uint64) bool {
	if !m.check(ctr) {
		return false
	}
	m.seen[ctr] = true
	m.last = max(m.last, ctr)
	return true
}

func TestWindowSteps(t *testing.T) {
	type step struct {
		ctr uint64
		new bool
	}
	tests := []struct {
		name  string
		bits  int
		steps []step
	}{
		{"from zero", 64, []step{{0, true}, {0, false}, {1, true}, {0, false}}},
		{"out of order", 64, []step{{5, true}, {3, true}, {3, false}, {4, true}, {5, false}}},
		{"lower edge", 64, []step{{100, true}, {37, true}, {36, false}, {37, false}}},
		{"lower edge of 8192", 8192, []step{{10000, true}, {1809, true}, {1808, false}}},
		{"far jump clears", 8192, []step{{7, true}, {1 << 40, true}, {1<<40 - 8191, true}, {1<<40 - 8192, false}, {7, false}}},
		{"jump by the ring", 64, []step{{1, true}, {129, true}, {128, true}, {66, true}, {65, false}}},
		{"jump by a word", 128, []step{{63, true}, {64, true}, {191, true}, {64, false}, {63, false}, {65, true}}},
		{"the largest", 8192, []step{{math.MaxUint64, true}, {math.MaxUint64, false}, {math.MaxUint64 - 8191, true},
			{math.MaxUint64 - 8192, false}, {0, false}}},
		{"size is rounded up", 1, []step{{63, true}, {0, true}, {64, true}, {0, false}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := NewWindow(tt.bits)
			for i, s := range tt.steps {
				if got := w.Check(s.ctr); got != s.new {
					t.Fatalf("step %d: Check(%d) = %v", i, s.ctr, got)
				}
				if got := w.Commit(s.ctr); got != s.new {
					t.Fatalf("step %d: Commit(%d) = %v", i, s.ctr, got)
				}
			}
		})
	}
}

// TestWindowCheckChangesNothing: what is not authenticated must not move it.
func TestWindowCheckChangesNothing(t *testing.T) {
	w := NewWindow(8192)
	w.Commit(100)
	w.Check(1 << 60)
	if !w.Commit(99) || !w.Commit(101) {
		t.Fatal("the window moved without a commit")
	}
}

// TestReplayGuardRace: of many goroutines with the same counter one wins.
func TestReplayGuardRace(t *testing.T) {
	r := replayGuard{window: makeWindow(windowBits)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 8 {
		wg.Go(func() {
			for ctr := range uint64(2000) {
				if r.check(ctr) && r.commit(ctr) {
					mu.Lock()
					won++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if highest, count := r.received(); won != 2000 || highest != 1999 || count != 2000 {
		t.Fatalf("won %d, highest %d, count %d", won, highest, count)
	}
}

// FuzzWindow compares the window with the model over a walk that the fuzzer
// chooses: three bytes a step, a kind and a distance.
func FuzzWindow(f *testing.F) {
	f.Add(uint16(64), uint64(0), []byte{0, 0, 1, 0, 0, 1, 1, 0, 3})
	f.Add(uint16(8192), uint64(1<<40), []byte{2, 0, 9, 1, 31, 255, 1, 32, 0, 3, 0, 0, 0, 1, 0})
	f.Add(uint16(128), uint64(math.MaxUint64-5000), []byte{0, 19, 0, 2, 0, 5, 1, 0, 200})
	f.Fuzz(func(t *testing.T, bits uint16, start uint64, walk []byte) {
		w := NewWindow(int(bits%8192) + 1)
		m := sModel{seen: map[uint64]bool{}, size: w.size}
		at := start
		for i := 0; len(walk) >= 3; i++ {
			kind, by := walk[0], uint64(binary.BigEndian.Uint16(walk[1:]))
			walk = walk[3:]
			switch kind % 5 {
			case 0: // forward
				at = max(at, at+by)
			case 1: // back
				at -= min(by, at)
			case 2: // far forward, in words of the ring
				at = max(at, at+by*64)
			case 3: // the highest again
				at = m.last
			case 4: // around the lower edge
				at = m.last - min(m.last, m.size) + by%3
			}
			what := fmt.Sprintf("step %d, counter %d of window %d behind %d", i, at, w.size, m.last)
			if got, want := w.Check(at), m.check(at); got != want {
				t.Fatalf("%s: Check = %v", what, got)
			}
			if by%4 != 3 { // some packets are looked at and then fail to open
				if got, want := w.Commit(at), m.commit(at); got != want {
					t.Fatalf("%s: Commit = %v", what, got)
				}
			}
		}
	})
}

func BenchmarkWindowInOrder(b *testing.B) {
	w := NewWindow(windowBits)
	for i := range uint64(b.N) {
		if w.Check(i) {
			w.Commit(i)
		}
	}
}
