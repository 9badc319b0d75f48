package sim

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"hedgerow/protocol"
)

// ledgerLen is how many of the latest frames a ledger knows. What is delivered
// later than that was never sent, as far as the ledger goes.
const ledgerLen = 1 << 15

// everybody is the receiver of a broadcast.
const everybody = 255

// Ledger knows every frame that a member sent lately, and fails the test when
// something is delivered that is not in it, or twice, or elsewhere.
type Ledger struct {
	faults *Faults

	mu        sync.Mutex
	next      uint64
	entries   [ledgerLen]entry
	delivered uint64
	elsewhere uint64 // floods of frames for a member that is not known yet
}

// entry is one frame.
type entry struct {
	id       uint64
	frame    []byte
	to       uint8
	sent     time.Time
	got      uint32 // by edge
	expected uint32 // who must get it
}

// Enter makes a frame from one edge to another, or to everybody, and notes who
// must get it.
func (l *Ledger) Enter(src, dst protocol.MAC, from, to uint8, size int, expected uint32) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	id := l.next
	l.next++
	e := &l.entries[id%ledgerLen]
	*e = entry{id: id, frame: e.frame[:0], to: to, sent: time.Now(), expected: expected}
	b := append(append(e.frame, dst[:]...), src[:]...)
	b = binary.BigEndian.AppendUint16(b, EtherType)
	b = binary.BigEndian.AppendUint64(b, id)
	b = append(b, from, to)
	for x := id*0x9e3779b97f4a7c15 + 1; len(b) < size; x = x*6364136223846793005 + 1442695040888963407 {
		b = binary.BigEndian.AppendUint64(b, x)
	}
	e.frame = b
	return b
}

// Deliver takes a frame that an edge wrote to its device.
func (l *Ledger) Deliver(at uint8, frame []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(frame) < 24 || protocol.Frame(frame).EtherType() != EtherType {
		l.faults.Add("edge %d delivered a frame that nobody sent: %x", at, frame)
		return
	}
	id := binary.BigEndian.Uint64(frame[14:])
	e := &l.entries[id%ledgerLen]
	switch {
	case e.id != id || !bytes.Equal(e.frame, frame):
		l.faults.Add("edge %d delivered a frame that nobody sent: %x", at, frame)
	case e.got&(1<<at) != 0:
		l.faults.Add("edge %d delivered frame %d to %d twice, sent %v ago", at, id, e.to, time.Since(e.sent))
	case frame[22] == at:
		l.faults.Add("edge %d delivered its own frame %d", at, id)
	}
	e.got |= 1 << at
	l.delivered++
	if e.to != everybody && e.to != at {
		l.elsewhere++
	}
}

// Settle fails the test for every frame since the given one that somebody must
// have got and has not. It returns the number of the next one, and from whom and
// to whom a frame is missing; else those two are the same.
func (l *Ledger) Settle(since uint64, when func() string) (next uint64, from, to uint8) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next-since > ledgerLen {
		l.faults.Add("the ledger is too short for %d frames", l.next-since)
	}
	for id := since; id < l.next; id++ {
		e := &l.entries[id%ledgerLen]
		if missing := e.expected &^ e.got; missing != 0 {
			from, to = e.frame[22], uint8(bits.TrailingZeros32(missing))
			l.faults.Add("frame %d from %d to %d, sent %v ago, is missing at %s; %s",
				id, e.frame[22], e.to, time.Since(e.sent), members(missing), when())
		}
	}
	return l.next, from, to
}

// Arrived reports whether the last frame, which was for one edge, reached it.
func (l *Ledger) Arrived() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := &l.entries[(l.next-1)%ledgerLen]
	return e.got&(1<<e.to) != 0
}

// members lists the edges of a set.
func members(set uint32) (s string) {
	for i := range 32 {
		if set&(1<<i) != 0 {
			s += fmt.Sprint(i, " ")
		}
	}
	return s
}

// Faults collects what went wrong, from any goroutine.
type Faults struct {
	mu    sync.Mutex
	start time.Time
	list  []string
	more  int
}

// Add notes a fault; after many it only counts.
func (f *Faults) Add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.list) >= 40 {
		f.more++
		return
	}
	f.list = append(f.list, fmt.Sprintf("at %v: ", time.Since(f.start).Round(time.Millisecond))+fmt.Sprintf(format, args...))
}

// Take returns what was collected, and forgets it.
func (f *Faults) Take() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := f.list
	f.list = nil
	return list
}
