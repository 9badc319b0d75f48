package stream

import (
	"encoding/binary"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// shortPacket is the longest packet in bytes that goes ahead of longer ones.
	// Keepalives, handshakes, probes, the acknowledgements of TCP and voice are
	// shorter, and what is sealed cannot be told apart by anything else.
	shortPacket = 400
	// shortRoom and bulkRoom bound the packets that wait, in bytes.
	shortRoom = 64 << 10
	bulkRoom  = 256 << 10
	// keptRoom is what may wait for however long, of either kind, in bytes: a line
	// that takes seconds for a message still gets one.
	keptRoom = 16 << 10
	// maxAge is how long the rest may wait, besides the round trip time that a
	// sender inside needs to fill the line.
	maxAge = 150 * time.Millisecond
	// keptBuffer is the longest buffer in bytes that an empty lane keeps.
	keptBuffer = 32 << 10
)

// queue holds the packets that wait for the writer of a stream: short ones, which go
// ahead, and the others. The order within each is kept; receivers of sealed packets
// accept another one between the two, as they do from UDP.
type queue struct {
	ready   chan struct{} // holds a token when the writer should look
	start   time.Time
	dropped *atomic.Uint64 // counts packets that have waited for too long

	mu          sync.Mutex
	short, bulk lane
	age         time.Duration // how long packets may wait
	closed      bool
}

func newQueue(dropped *atomic.Uint64) *queue {
	return &queue{
		ready: make(chan struct{}, 1), start: time.Now(), dropped: dropped,
		short: lane{room: shortRoom}, bulk: lane{room: bulkRoom}, age: maxAge,
	}
}

// put adds a packet to the end. It returns false when there is no room, or when
// the queue is closed.
func (q *queue) put(pkt []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	l, now := &q.bulk, time.Since(q.start)
	if len(pkt) <= shortPacket {
		l = &q.short
	}
	if !l.fits(pkt) {
		q.expire(l, now)
	}
	if !l.fits(pkt) {
		return false
	}
	l.put(pkt, now)
	q.wake()
	return true
}

// pop empties message and fills it with the packets that are sent next, of limit
// bytes at most unless the first is longer. Short ones go first and have half of it,
// and all that the others leave. Those that have waited for longer than the round
// trip time, rtt, and maxAge are dropped. more is false when there will be no
// message any more.
func (q *queue) pop(message []byte, limit int, rtt time.Duration) (filled []byte, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Since(q.start)
	q.age = maxAge + rtt
	q.expire(&q.short, now)
	q.expire(&q.bulk, now)
	message = q.short.take(message[:0], limit/2)
	message = q.bulk.take(message, limit)
	message = q.short.take(message, limit)
	return message, !q.closed || len(message) > 0
}

// expire drops the packets of a lane that have waited for too long. The caller holds
// q.mu.
func (q *queue) expire(l *lane, now time.Duration) {
	q.dropped.Add(l.expire(now - q.age))
}

// close refuses further packets. Waiting ones can still be popped.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.wake()
}

// wake leaves a token unless there is one.
func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
}

// stampLen is the length of the time at which a packet came, in front of it.
const stampLen = 8

// lane holds packets in their order, each as it is in a message behind the time at
// which it came. The buffer of a burst is freed with it.
type lane struct {
	buf  []byte
	head int // where in buf the first packet's time is
	room int // how much may wait
}

func (l *lane) waiting() int { return len(l.buf) - l.head }

func (l *lane) fits(pkt []byte) bool {
	return l.waiting()+stampLen+lengthLen+len(pkt) <= l.room
}

func (l *lane) put(pkt []byte, now time.Duration) {
	if l.head > len(l.buf)/2 { // moving what waits costs no more than what has left
		l.buf = l.buf[:copy(l.buf, l.buf[l.head:])]
		l.head = 0
	}
	l.buf = appendPacket(binary.BigEndian.AppendUint64(l.buf, uint64(now)), pkt)
}

// first returns the first packet behind its length, and when it came; nil: there is
// none.
func (l *lane) first() (framed []byte, came time.Duration) {
	if l.waiting() == 0 {
		return nil, 0
	}
	came = time.Duration(binary.BigEndian.Uint64(l.buf[l.head:]))
	framed = l.buf[l.head+stampLen:]
	return framed[:lengthLen+int(binary.BigEndian.Uint16(framed))], came
}

// leave removes the first packet.
func (l *lane) leave(framed []byte) {
	if l.head += stampLen + len(framed); l.waiting() > 0 {
		return
	}
	if l.buf, l.head = l.buf[:0], 0; cap(l.buf) > keptBuffer {
		l.buf = nil
	}
}

// take moves packets to the end of a message, of limit bytes at most unless its only
// packet is longer.
func (l *lane) take(message []byte, limit int) []byte {
	for {
		framed, _ := l.first()
		if framed == nil || len(message) > 0 && len(message)+len(framed) > limit {
			return message
		}
		message = append(message, framed...)
		l.leave(framed)
	}
}

// expire drops the packets that came before a time, but for those that may wait for
// however long. It returns how many it has dropped.
func (l *lane) expire(before time.Duration) (dropped uint64) {
	for l.waiting() > keptRoom {
		framed, came := l.first()
		if came >= before {
			return dropped
		}
		l.leave(framed)
		dropped++
	}
	return dropped
}
