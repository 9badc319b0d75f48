package transport

import (
	"net"
	"net/netip"
	"sync"
)

// ringLen is how many datagrams are read ahead.
const ringLen = 256

// ring holds the datagrams that were read ahead. Its buffers grow to the length
// of what arrives and stay.
type ring struct {
	// wake holds a token exactly while a datagram waits and the reader was not
	// woken for it. close closes it.
	wake chan struct{}

	mu     sync.Mutex
	space  sync.Cond // there is room, or an end
	slots  [ringLen]slot
	first  int // slot to read next
	count  int
	closed bool
	err    error // why there will be no more datagrams
}

// slot is one waiting datagram.
type slot struct {
	payload []byte
	from    netip.AddrPort
}

func (r *ring) init() {
	r.wake = make(chan struct{}, 1)
	r.space.L = &r.mu
}

// put adds a datagram, once there is room. It returns false after close.
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

// pop moves waiting datagrams into ds without blocking.
func (r *ring) pop(ds []Datagram) (int, error) {
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
		d.Addr, d.Local, d.Seg, d.TTL, d.TOS = s.from, netip.Addr{}, 0, 0, 0
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

// wait blocks until pop has a datagram or an error.
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

// fail ends the ring with an error. Waiting datagrams can still be read.
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
