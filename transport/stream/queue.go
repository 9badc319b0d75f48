package stream

import "sync"

// queueMessages bounds a queue: 16 messages of 16 KiB are 256 KiB.
const queueMessages = 16

// queue is what waits for the writer of a stream, packed into messages already. A
// quiet stream needs two buffers as long as its messages have become; those of a
// burst are let go with it.
type queue struct {
	ready chan struct{} // holds a token when the writer should look

	mu       sync.Mutex
	messages [queueMessages][]byte
	first    int // in messages: what goes out next
	count    int
	spare    []byte // from the writer, to be filled again
	closed   bool
}

// put adds a packet behind the others. False says that there was no room, or that
// nobody will send it any more.
func (q *queue) put(pkt []byte) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	last := (q.first + q.count - 1 + queueMessages) % queueMessages
	if q.count == 0 || len(q.messages[last])+lengthLen+len(pkt) > maxMessage {
		if q.count == queueMessages {
			return false
		}
		last = (last + 1) % queueMessages
		q.messages[last], q.spare = q.spare[:0], nil
		q.count++
	}
	q.messages[last] = appendPacket(q.messages[last], pkt)
	q.wake()
	return true
}

// take returns the message that goes out next, which is the caller's, and takes
// the one before back. It returns nil when nothing waits; more is false when
// nothing will.
func (q *queue) take(spare []byte) (message []byte, more bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if spare != nil {
		q.spare = spare
	}
	if q.count == 0 {
		return nil, !q.closed
	}
	message = q.messages[q.first]
	q.messages[q.first] = nil
	q.first = (q.first + 1) % queueMessages
	q.count--
	return message, true
}

// close refuses further packets. What waits can still be taken.
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
