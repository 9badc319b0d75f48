package netwatch

import (
	"sync"
	"sync/atomic"
	"time"
)

// heard counts what the kernel has told all listeners of this process, and listening those
// that still listen.
var heard, listening atomic.Int64

// Changes returns a number that becomes another one whenever the system tells this process
// of a change of its network: interfaces, addresses, routes of any kind and the rules by
// which they are chosen. told is false while nobody listens (Watch, Events), or the system
// tells nothing: the number says nothing then. Whoever reads something of the network asks
// before: what changes while it is read changes the number.
func Changes() (number int64, told bool) { return heard.Load(), listening.Load() > 0 }

// KeptFor is for how long something that was read of the network counts at most while
// Changes tells of none.
const KeptFor = 5 * time.Minute

// Kept returns read with a memory of one answer: it is called again for another question,
// after a change, after an error, and KeptFor after the last time. The function that is
// returned may be called from any goroutine.
func Kept[Q comparable, A any](read func(Q) (A, error)) func(Q) (A, error) {
	return kept(Changes, read)
}

// kept is Kept with what stands for Changes.
func kept[Q comparable, A any](changes func() (int64, bool), read func(Q) (A, error)) func(Q) (A, error) {
	var (
		mu     sync.Mutex
		valid  bool
		asked  Q
		answer A
		number int64
		at     time.Time
	)
	return func(q Q) (A, error) {
		mu.Lock()
		defer mu.Unlock()
		n, told := changes()
		if now := time.Now(); !valid || !told || n != number || q != asked || now.Sub(at) >= KeptFor {
			a, err := read(q)
			valid, asked, answer, number, at = err == nil && told, q, a, n, now
			return a, err
		}
		return answer, nil
	}
}
