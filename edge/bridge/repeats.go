package bridge

import "sync/atomic"

// tellEvery is how often something that goes on is told of again, in nanoseconds.
const tellEvery = int64(5e9)

// Repeats counts what happens for each frame and is told of now and then. Its zero
// value is ready for use, by several goroutines.
type Repeats struct {
	told  atomic.Int64
	count atomic.Uint64
}

// Add counts one frame. It reports whether it is time to tell of those since the last
// time, and how many they are. now is in nanoseconds.
func (r *Repeats) Add(now int64) (count uint64, tell bool) {
	r.count.Add(1)
	told := r.told.Load()
	if told != 0 && now-told < tellEvery || !r.told.CompareAndSwap(told, max(now, 1)) {
		return 0, false
	}
	return r.count.Swap(0), true
}
