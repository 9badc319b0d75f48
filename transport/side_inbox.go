package transport

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
)

// inboxLen is how many packets of side transports wait for the reader.
const inboxLen = 1024

// inbox holds the packets that side transports have delivered. Its buffers grow
// to the length of what arrives and stay.
type inbox struct {
	// ready holds a token, and event is set, exactly while a packet waits and
	// the reader was not woken for it. close closes ready.
	ready chan struct{}
	// waiting is count, for a look without the lock.
	waiting           atomic.Int32
	received, dropped atomic.Uint64

	mu     sync.Mutex
	event  signal
	slots  [inboxLen]slot
	first  int // slot to read next
	count  int
	read   bool // it has its reader
	closed bool
}

// put adds a packet if there is room.
func (b *inbox) put(from netip.AddrPort, pkt []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed || b.count == inboxLen || len(pkt) > MaxSidePacket {
		b.dropped.Add(1)
		return
	}
	s := &b.slots[(b.first+b.count)%inboxLen]
	s.payload, s.from = append(s.payload[:0], pkt...), from
	b.count++
	b.waiting.Store(int32(b.count))
	b.received.Add(1)
	if b.count == 1 {
		b.tell()
	}
}

// pop moves waiting packets into ds without blocking.
func (b *inbox) pop(ds []Datagram) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(ds), b.count)
	for i := range n {
		d, s := &ds[i], &b.slots[b.first]
		d.N = copy(d.Buf, s.payload)
		d.Addr, d.Local, d.Seg, d.TTL, d.TOS = s.from, netip.Addr{}, 0, 0, 0
		b.first = (b.first + 1) % inboxLen
	}
	b.count -= n
	b.waiting.Store(int32(b.count))
	if b.count > 0 {
		b.tell()
	} else if !b.closed {
		b.event.clear()
		select {
		case <-b.ready:
		default:
		}
	}
	return n
}

// tell wakes the reader; the lock is held. It is idempotent.
func (b *inbox) tell() {
	if b.closed {
		return
	}
	b.event.set()
	select {
	case b.ready <- struct{}{}:
	default:
	}
}

// open gives the inbox its reader, and the event that wakes a reader that waits
// for descriptors. An inbox has one reader in its life.
func (b *inbox) open(event signal) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.read {
		panic("transport: Sides have one Reader")
	}
	b.read, b.event = true, event
	if b.count > 0 {
		b.tell()
	}
}

// close ends the inbox and drops the waiting packets. Further calls return
// net.ErrClosed.
func (b *inbox) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return net.ErrClosed
	}
	b.closed, b.count = true, 0
	b.waiting.Store(0)
	b.slots = [inboxLen]slot{}
	close(b.ready)
	return b.event.close()
}
