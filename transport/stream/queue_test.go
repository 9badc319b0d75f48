package stream

import (
	"fmt"
	"testing"
)

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// TestQueueIsBounded fills a queue: it keeps the oldest, in order, in messages
// that are not too long.
func TestQueueIsBounded(t *testing.T) {
	q := newQueue()
	pkt := make([]byte, 1000)
	kept := 0
	for i := range 1000 {
		copy(pkt, fmt.Sprintf("%04d", i))
		if !q.put(pkt) {
			break
		}
		kept++
	}
	if q.put(pkt) || kept != queueMessages*(maxMessage/1002) {
		t.Errorf("%d packets are kept", kept)
	}
	next := 0
	for {
		message, more := q.pop(nil)
		if message == nil {
			if !more {
				t.Error("it is closed")
			}
			break
		}
		if len(message) > maxMessage {
			t.Errorf("a message of %d bytes", len(message))
		}
		packets, err := split(message)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range packets {
			if p[:4] != fmt.Sprintf("%04d", next) {
				t.Fatalf("%s instead of %d", p[:4], next)
			}
			next++
		}
	}
	if next != kept || !q.put(pkt) {
		t.Errorf("%d of %d packets", next, kept)
	}
}

func TestQueueClose(t *testing.T) {
	q := newQueue()
	q.put([]byte("a"))
	<-q.ready
	q.close()
	select {
	case <-q.ready:
	default:
		t.Error("nobody is told")
	}
	if q.put([]byte("b")) {
		t.Error("a packet after the end")
	}
	if m, more := q.pop(nil); string(m) != "\x00\x01a" || !more {
		t.Errorf("%q, %v", m, more)
	}
	if m, more := q.pop(nil); m != nil || more {
		t.Errorf("%q, %v", m, more)
	}
}

func TestQueueAllocatesNothing(t *testing.T) {
	q := newQueue()
	pkt := make([]byte, 1400)
	var message []byte
	round := func() {
		for range 5 {
			q.put(pkt)
		}
		message, _ = q.pop(message)
		if message == nil {
			t.Fatal("nothing waits")
		}
	}
	for range 4 { // its buffers grow at first
		round()
	}
	if n := testing.AllocsPerRun(100, round); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
