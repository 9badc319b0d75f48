package nattest

import (
	"bytes"
	"sync"
	"time"
)

const (
	// streamQueue is how many bytes of packets wait in one direction of a stream
	// at most, in its queue and on the way.
	streamQueue = 256 << 10
	// streamIdle is after how long a stream ends by which nothing passes.
	streamIdle = 90 * time.Second
)

// Stream is one end of a stream of packets between two hosts: the double of
// transport/stream. Packets arrive whole, in order, once each, after the delay of
// the internet, and none gets lost before the stream has ended. Loss, MTU and
// blocked UDP of the internet are nothing to it. Its methods may be called from
// any goroutine.
type Stream struct {
	net  *Internet
	pipe *pipe
	out  *lane
	in   *lane
	done chan struct{}
}

// pipe is what both ends share.
type pipe struct {
	mu   sync.Mutex
	cut  bool // nothing passes any more
	ends [2]*Stream
}

// lane is one direction.
type lane struct {
	wake    chan struct{} // holds a token when something has changed for the reader
	queue   []parcel
	bytes   int
	dropped uint64
	stalled bool
	shut    time.Time // when the end of the stream arrives; zero: it is not sent
}

type parcel struct {
	at  time.Time // of arrival
	pkt []byte
}

// Stream returns the two ends of a new stream.
func (n *Internet) Stream() (a, b *Stream) {
	p := &pipe{}
	there, back := &lane{wake: make(chan struct{}, 1)}, &lane{wake: make(chan struct{}, 1)}
	a = &Stream{net: n, pipe: p, out: there, in: back, done: make(chan struct{})}
	b = &Stream{net: n, pipe: p, out: back, in: there, done: make(chan struct{})}
	p.ends = [2]*Stream{a, b}
	return a, b
}

// Send queues a packet, which is copied, and does not block. A packet that finds
// 256 KiB waiting, or comes after the end, is dropped.
func (s *Stream) Send(pkt []byte) {
	delay := s.net.Delay()
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	l := s.out
	if s.ended() || !l.shut.IsZero() || l.bytes+len(pkt) > streamQueue {
		l.dropped++
		return
	}
	at := time.Now().Add(delay)
	if n := len(l.queue); n > 0 && at.Before(l.queue[n-1].at) {
		at = l.queue[n-1].at
	}
	l.queue = append(l.queue, parcel{at, bytes.Clone(pkt)})
	l.bytes += len(pkt)
	signal(l.wake)
}

// Serve calls deliver with every packet that arrives until the stream has ended
// here. It is called once; deliver may use pkt until it returns.
func (s *Stream) Serve(deliver func(pkt []byte)) {
	for {
		pkt, wait, ended := s.next()
		switch {
		case ended:
			return
		case pkt != nil:
			deliver(pkt)
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			due = time.After(wait)
		}
		select {
		case <-s.done:
		case <-s.in.wake:
		case <-due:
		}
	}
}

// next takes the packet that has arrived, or says how long nothing will; 0 means
// until something changes.
func (s *Stream) next() (pkt []byte, wait time.Duration, ended bool) {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	l, now := s.in, time.Now()
	switch {
	case s.ended():
		return nil, 0, true
	case l.stalled || s.pipe.cut:
		return nil, 0, false
	case len(l.queue) > 0 && now.Before(l.queue[0].at):
		return nil, l.queue[0].at.Sub(now), false
	case len(l.queue) > 0:
		first := l.queue[0]
		l.queue = l.queue[1:]
		l.bytes -= len(first.pkt)
		return first.pkt, 0, false
	case l.shut.IsZero():
		return nil, 0, false
	case now.Before(l.shut):
		return nil, l.shut.Sub(now), false
	}
	s.end()
	return nil, 0, true
}

// Close ends the stream here at once. What was sent before still arrives at the
// other end, which ends then. It may be called twice.
func (s *Stream) Close() {
	delay := s.net.Delay()
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	if s.out.shut.IsZero() {
		s.out.shut = time.Now().Add(delay)
		signal(s.out.wake)
	}
	s.end()
}

// Break ends the stream at both ends at once, as a middlebox does that resets it:
// what is on the way gets lost.
func (s *Stream) Break() {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	for _, e := range s.pipe.ends {
		e.end()
	}
}

// Cut lets nothing pass any more, and nobody is told: both ends live on for 90 s.
func (s *Stream) Cut() {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	if !s.pipe.cut {
		s.pipe.cut = true
		time.AfterFunc(streamIdle, s.Break)
	}
}

// Stall has this end read nothing, until it is called with false: what the other
// end sends waits, and is dropped when too much does.
func (s *Stream) Stall(stalled bool) {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	s.in.stalled = stalled
	signal(s.in.wake)
}

// Done returns a channel that is closed when the stream has ended here.
func (s *Stream) Done() <-chan struct{} { return s.done }

// Dropped returns how many packets Send has dropped.
func (s *Stream) Dropped() uint64 {
	s.pipe.mu.Lock()
	defer s.pipe.mu.Unlock()
	return s.out.dropped
}

func (s *Stream) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// end ends the stream here; the lock is held.
func (s *Stream) end() {
	if !s.ended() {
		close(s.done)
	}
}
