package stream

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// popped returns the packets of the next message.
func popped(t *testing.T, q *queue, limit int) []string {
	t.Helper()
	message, _ := q.pop(nil, limit, 0)
	if len(message) > limit {
		t.Errorf("a message of %d bytes", len(message))
	}
	packets, err := split(message)
	if err != nil {
		t.Fatal(err)
	}
	return packets
}

// TestQueueIsBounded fills a queue with packets of either kind: it keeps the oldest,
// in order, in messages that are not too long.
func TestQueueIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for length, room := range map[int]int{1000: bulkRoom, shortPacket: shortRoom} {
			q := newQueue(new(atomic.Uint64))
			pkt := make([]byte, length)
			kept := 0
			for i := range 10000 {
				copy(pkt, fmt.Sprintf("%04d", i))
				if !q.put(pkt) {
					break
				}
				kept++
			}
			if q.put(pkt) || kept != room/(length+stampLen+lengthLen) {
				t.Errorf("%d packets of %d bytes are kept", kept, length)
			}
			next := 0
			for packets := popped(t, q, maxMessage); len(packets) > 0; packets = popped(t, q, maxMessage) {
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
	})
}

// TestShortPacketsGoAhead has short packets come behind long ones: they leave with
// the next message, and take no more than half of it while long ones wait.
func TestShortPacketsGoAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(new(atomic.Uint64))
		for range 100 {
			q.put([]byte(strings.Repeat("b", 1400)))
		}
		for range 100 {
			q.put([]byte(strings.Repeat("s", shortPacket)))
		}
		count := func(packets []string, kind string) (n int) {
			for _, p := range packets {
				if p[:1] == kind {
					n++
				}
			}
			return n
		}
		first := popped(t, q, maxMessage)
		short, bulk := count(first, "s"), count(first, "b")
		if first[0][:1] != "s" || short*(shortPacket+lengthLen) > maxMessage/2+1402 || bulk != maxMessage/2/1402 {
			t.Errorf("%d short ones and %d others", short, bulk)
		}
		if tight := popped(t, q, leastMessage); count(tight, "s") == 0 || count(tight, "b") == 0 {
			t.Errorf("%d short ones of %d in the shortest message", count(tight, "s"), len(tight))
		}
		for q.short.waiting() > 0 {
			popped(t, q, maxMessage)
		}
		if rest := popped(t, q, maxMessage); count(rest, "b") != maxMessage/1402 {
			t.Errorf("%d packets when nothing else waits", len(rest))
		}
		// One that is longer than the limit goes alone: the stream does not stop for it.
		if message, more := q.pop(nil, 100, 0); len(message) != 1402 || !more {
			t.Errorf("%d bytes, %v", len(message), more)
		}
	})
}

// TestOldPacketsAreDropped has packets wait: the oldest are dropped from the front
// when they are too old, but not the last 16 KiB, and make room for new ones.
func TestOldPacketsAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dropped := new(atomic.Uint64)
		q := newQueue(dropped)
		pkt := []byte(strings.Repeat("x", 1000))
		fill := func(kind byte) (n int) {
			for pkt[0] = kind; q.put(pkt); n++ {
			}
			return n
		}
		old := fill('a')
		time.Sleep(maxAge)
		if fill('b') != 0 || dropped.Load() != 0 {
			t.Errorf("%d dropped before their time", dropped.Load())
		}
		time.Sleep(time.Nanosecond)
		if renewed := fill('c'); renewed != old || int(dropped.Load()) != old {
			t.Errorf("%d of %d dropped, %d came instead", dropped.Load(), old, renewed)
		}
		time.Sleep(maxAge + 20*time.Millisecond)
		q.pop(nil, leastMessage, 20*time.Millisecond)
		if int(dropped.Load()) != old {
			t.Error("a round trip does not count")
		}
		kept := keptRoom / (1000 + stampLen + lengthLen)
		time.Sleep(time.Second)
		left := 0
		for packets := popped(t, q, maxMessage); len(packets) > 0; packets = popped(t, q, maxMessage) {
			left += len(packets)
		}
		if left != kept {
			t.Errorf("%d packets are left, not %d", left, kept)
		}
	})
}

func TestQueueClose(t *testing.T) {
	q := newQueue(new(atomic.Uint64))
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
	if m, more := q.pop(nil, maxMessage, 0); string(m) != "\x00\x01a" || !more {
		t.Errorf("%q, %v", m, more)
	}
	if m, more := q.pop(nil, maxMessage, 0); len(m) != 0 || more {
		t.Errorf("%q, %v", m, more)
	}
}

func TestQueueAllocatesNothing(t *testing.T) {
	q := newQueue(new(atomic.Uint64))
	pkt := make([]byte, 1400)
	var message []byte
	round := func() {
		for range 5 {
			q.put(pkt)
			q.put(pkt[:100])
		}
		if message, _ = q.pop(message, maxMessage, 0); len(message) == 0 {
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

// TestBurstIsFreed has the buffers of a burst freed when it has left.
func TestBurstIsFreed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(new(atomic.Uint64))
		for range 100 {
			q.put(make([]byte, 1400))
		}
		for len(popped(t, q, maxMessage)) > 0 {
		}
		if n := cap(q.bulk.buf); n > keptBuffer {
			t.Errorf("%d bytes are kept", n)
		}
	})
}
