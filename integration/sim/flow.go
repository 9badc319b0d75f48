package sim

import (
	"encoding/binary"
	"fmt"
	"sync"
	"testing/synctest"
	"time"

	"hedgerow/protocol"
)

// Flow is a numbered stream of frames from one edge to another hardware
// address, with the times at which each frame was sent and delivered.
type Flow struct {
	from *Edge
	to   protocol.MAC
	id   uint32
	size int          // bytes of padding
	src  protocol.MAC // forged source; zero: the edge's own
	host *Host        // that sends it, instead of an edge

	mu      sync.Mutex
	sent    []time.Time
	sizes   []int
	damaged int                 // delivered with another length than they were sent with
	got     map[*Sink][]arrival // by number
}

// arrival is when a frame was first delivered and how often.
type arrival struct {
	at    time.Time
	times int
}

// Sink receives the flows that reach an edge: give its Deliver to the edge's
// Options.
type Sink struct {
	mu     sync.Mutex
	flows  map[uint32]*Flow
	alien  int // frames of no flow
	answer func(f *Flow, n uint64)
}

// Deliver takes a frame that the edge wrote to its device.
func (s *Sink) Deliver(frame []byte) {
	now := time.Now()
	f := protocol.Frame(frame)
	if f.EtherType() != EtherType || len(frame) < 26 || f.IsProbe() {
		return
	}
	s.mu.Lock()
	flow := s.flows[binary.BigEndian.Uint32(frame[14:])]
	if flow == nil {
		s.alien++
	}
	answer := s.answer
	s.mu.Unlock()
	n := binary.BigEndian.Uint64(frame[18:])
	if flow == nil || !flow.deliver(s, now, n, len(frame)) {
		return
	}
	if answer != nil {
		answer(flow, n)
	}
}

// Flow returns a flow from an edge to a hardware address; every sink counts
// what it gets of it.
func (w *World) Flow(from *Edge, to protocol.MAC, sinks ...*Sink) *Flow {
	w.flows++
	f := &Flow{from: from, to: to, id: w.flows, got: make(map[*Sink][]arrival)}
	for _, s := range sinks {
		s.mu.Lock()
		if s.flows == nil {
			s.flows = make(map[uint32]*Flow)
		}
		s.flows[f.id] = f
		s.mu.Unlock()
		f.got[s] = nil
	}
	return f
}

// deliver notes an arrival and reports whether it is the first of its number.
func (f *Flow) deliver(s *Sink, now time.Time, n uint64, size int) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n >= uint64(len(f.sizes)) || f.sizes[n] != size {
		f.damaged++
		return false
	}
	for uint64(len(f.got[s])) <= n {
		f.got[s] = append(f.got[s], arrival{})
	}
	a := &f.got[s][n]
	if a.times++; a.times == 1 {
		a.at = now
	}
	return a.times == 1
}

// Send sends the next frame.
func (f *Flow) Send() {
	f.mu.Lock()
	n := len(f.sent)
	f.sent = append(f.sent, time.Now())
	f.sizes = append(f.sizes, 14+12+f.size)
	f.mu.Unlock()
	payload := binary.BigEndian.AppendUint32(make([]byte, 0, 12+f.size), f.id)
	payload = binary.BigEndian.AppendUint64(payload, uint64(n))
	src := f.src
	if src.IsZero() && f.host == nil {
		src = f.from.MAC
	}
	frame := Frame(f.to, src, append(payload, make([]byte, f.size)...))
	if f.host != nil {
		f.host.send(frame)
		return
	}
	f.from.Device.Inject(frame)
}

// Run sends n frames, one at every interval.
func (f *Flow) Run(n int, every time.Duration) {
	for range n {
		f.Send()
		time.Sleep(every)
	}
}

// For sends frames for a time, one at every interval.
func (f *Flow) For(d, every time.Duration) { f.Run(int(d/every), every) }

// Len returns how many frames were sent.
func (f *Flow) Len() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.sent)
}

// Lost returns the numbers of the frames in [from, to) that some sink has not
// got. It waits until nothing moves any more.
func (f *Flow) Lost(from, to int) (lost []int) {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	for n := from; n < min(to, len(f.sent)); n++ {
		for _, got := range f.got {
			if n >= len(got) || got[n].times == 0 {
				lost = append(lost, n)
			}
		}
	}
	return lost
}

// Twice returns the numbers of the frames that some sink got more than once.
func (f *Flow) Twice() (twice []int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, got := range f.got {
		for n, a := range got {
			if a.times > 1 {
				twice = append(twice, n)
			}
		}
	}
	return twice
}

// Resumed returns how long after a moment the first frame that was sent after
// it was delivered to every sink, or an hour if none was.
func (f *Flow) Resumed(moment time.Time) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	longest := time.Duration(0)
	for _, got := range f.got {
		first := time.Hour
		for n, a := range got {
			if a.times > 0 && !f.sent[n].Before(moment) {
				first = a.at.Sub(moment)
				break
			}
		}
		longest = max(longest, first)
	}
	return longest
}

// Gap returns the longest time between two deliveries since a moment, to any
// sink; the end of the flow counts as one.
func (f *Flow) Gap(since time.Time) (gap time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, got := range f.got {
		last := since
		for _, a := range got {
			if a.times > 0 && a.at.After(last) {
				gap, last = max(gap, a.at.Sub(last)), a.at
			}
		}
		if n := len(f.sent); n > 0 {
			gap = max(gap, f.sent[n-1].Sub(last))
		}
	}
	return gap
}

// brief shows a list of numbers shortly.
func brief(list []int) string {
	if len(list) > 12 {
		return fmt.Sprintf("%d frames: %v ... %v", len(list), list[:6], list[len(list)-3:])
	}
	return fmt.Sprintf("%d frames: %v", len(list), list)
}
