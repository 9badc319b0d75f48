package transport

import (
	"net"
	"net/netip"
	"sync"
)

// ringLen is how many datagrams are read ahead.
const ringLen = 256

// ring is what was read ahead. Its buffers grow to what arrives and stay.
type ring struct {
	// wake holds a token exactly while something waits and nobody was told, and
	// is closed by close.
	wake chan struct{}

	mu     sync.Mutex
	space  sync.Cond // there is room, or an end
	slots  [ringLen]slot
	first  int // slot to read next
	count  int
	closed bool
	err    error // why no more will come
}

// slot is one datagram that waits.
type slot struct {
	payload []byte
	from    netip.AddrPort
}

func (r *ring) init() {
	r.wake = make(chan struct{}, 1)
	r.space.L = &r.mu
}

// put adds a datagram, once there is room. False says that nobody will read it.
func (r *ring) put(payload []byte, from netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for r.count == ringLen && !r.closed {
		r.space.Wait()
	}
	if r.closed {
		return false
	}
	s := &r.slots[(r.first+r.count)%ringLen]
	s.payload, s.from = append(s.payload[:0], payload...), from
	r.count++
	r.signal()
	return true
}

// take moves what waits into ds without blocking.
func (r *ring) take(ds []Datagram) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, net.ErrClosed
	}
	if r.count == 0 && r.err != nil {
		return 0, r.err
	}
	n := min(len(ds), r.count)
	for i := range n {
		d, s := &ds[i], &r.slots[r.first]
		d.N = copy(d.Buf, s.payload)
		d.Addr, d.Seg, d.TTL = s.from, 0, 0
		r.first = (r.first + 1) % ringLen
	}
	r.count -= n
	r.space.Signal()
	if r.count > 0 || r.err != nil {
		r.signal()
		return n, nil
	}
	select {
	case <-r.wake:
	default:
	}
	return n, nil
}

// wait blocks until take has something to say.
func (r *ring) wait() error {
	for {
		r.mu.Lock()
		closed, waiting := r.closed, r.count > 0 || r.err != nil
		r.mu.Unlock()
		switch {
		case closed:
			return net.ErrClosed
		case waiting:
			return nil
		}
		<-r.wake
	}
}

// fail says that no more will come, and why. What waits can still be read.
func (r *ring) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
	if !r.closed {
		r.signal()
	}
}

// close ends everything and reports whether it was the first to.
func (r *ring) close() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return false
	}
	r.closed = true
	close(r.wake)
	r.space.Broadcast()
	return true
}

// signal leaves a token unless there is one; the lock is held.
func (r *ring) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}
