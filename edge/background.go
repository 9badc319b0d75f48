package edge

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// background runs what would make the control loop wait, and brings the outcome
// back to it.
type background struct {
	requests chan func(now time.Time)
	workers  sync.WaitGroup
	running  context.Context // ends when Run is about to return
	done     chan struct{}   // closed when Run has returned
	sleeps   atomic.Uint64   // of the control loop
}

// Go runs f in a goroutine that Run waits for. The context ends when Run does.
func (b *background) Go(f func(ctx context.Context)) {
	b.workers.Go(func() { f(b.running) })
}

// Do has the control loop call f, and waits until it does. It is called from
// goroutines of Go alone; at the end of Run f is not called any more.
func (b *background) Do(f func(now time.Time)) {
	select {
	case b.requests <- f:
	case <-b.running.Done():
	}
}
