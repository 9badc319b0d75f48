package stream

import "sync"

// queueMessages bounds a queue: 16 messages of 16 KiB are 256 KiB.
const queueMessages = 16

// queue holds the packets that wait for the writer of a stream, packed into
// messages. A quiet stream needs two buffers as long as its messages have
// become; the buffers of a burst are freed with it.
type queue struct {
	ready chan struct{} // holds a token when the writer should look

	mu       sync.Mutex
	messages [queueMessages][]byte
	first    int // in messages: the next to be sent
	count    int
	spare    []byte // from the writer, to be filled again
	closed   bool
}

// put adds a packet to the end. It returns false when there is no room, or when
// the queue is closed.
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

// pop returns the message that is sent next, which is the caller's until it
// passes it back as spare. It returns nil when no message waits; more is false
// when there will be none.
func (q *queue) pop(spare []byte) (message []byte, more bool) {
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

// close refuses further packets. Waiting messages can still be popped.
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
