package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"hedgerow/protocol"
)

// Contest is one pair of the first community, and beside it greedy pairs of the second one,
// all at one supernode.
type Contest struct {
	// Rate is how many packets a second the single pair relays in one direction, beside its
	// pings.
	Rate float64
	// Greedy is how many other pairs there are, and GreedyRate how many packets a second all
	// of them relay: less if the machine cannot send as many.
	Greedy     int
	GreedyRate float64
	// Size is how long each packet is, in bytes.
	Size int
}

// Outcome is what has become of a Contest.
type Outcome struct {
	Sent, Got int // packets of the single pair
	Greedy    int // packets that the greedy pairs have sent
	// Pings are round trips between the single pair; one without an answer counts as a
	// second.
	Pings    []time.Duration
	Answered int
	Over     time.Duration
}

const (
	pingEach = 5 * time.Millisecond
	pingSize = 64
	unheard  = time.Second
	// sendBatch is how many packets the greedy pairs send at once.
	sendBatch = 64
)

// Words that the packets of a contest begin with.
const (
	bulkWord = 0x62756c6b + iota
	pingWord
	pongWord
)

// traffic is what the edges of a worker relay. Its methods are the worker's.
type traffic interface {
	send(now time.Time)
	arrived(e *edge, at time.Time, packet []byte)
}

// Compete lets both communities relay until f returns, and waits a moment for what is on its
// way. The swarm has two communities, one worker and one pair, and is registered.
func (s *Swarm) Compete(ctx context.Context, c Contest, f func() error) (Outcome, error) {
	if s.cfg.Communities != 2 || s.cfg.Pairs != 1 || len(s.workers) != 2 || 4*c.Greedy > len(s.edges) {
		return Outcome{}, fmt.Errorf("a contest of %d pairs takes two communities, one pair, one worker, and %d edges", c.Greedy, 4*c.Greedy)
	}
	one := &single{Contest: c, worker: s.workers[0], from: s.edges[0], to: s.edges[2]}
	all := &greedy{Contest: c, worker: s.workers[1]}
	for i := range c.Greedy {
		all.pairs = append(all.pairs, pair{s.edges[4*i+1], s.edges[4*i+3]})
	}
	began := time.Now()
	all.start(began)
	one.worker.Do(func() { one.began, one.worker.flow = time.Now(), one })
	err := f()
	over := time.Since(began)
	all.end()
	one.worker.Do(func() { one.ended = true })
	select {
	case <-time.After(300 * time.Millisecond):
	case <-ctx.Done():
	}
	done := make(chan struct{})
	one.worker.Do(func() { one.worker.flow = nil; close(done) })
	<-done
	answered := len(one.pings)
	for range one.pinged - len(one.pings) {
		one.pings = append(one.pings, unheard)
	}
	return Outcome{Sent: one.sent, Got: one.got, Greedy: all.sent, Pings: one.pings, Answered: answered, Over: over}, errors.Join(err, all.err)
}

// single is the traffic of the single pair.
type single struct {
	Contest
	worker            *worker
	from, to          *edge
	began             time.Time
	ended             bool
	sent, got, pinged int
	nextPing          time.Duration
	pings             []time.Duration
}

// send sends a ping that is due, and then the packets that are. Of those that could not be
// sent for long none is made up for.
func (f *single) send(now time.Time) {
	if f.ended {
		return
	}
	since := now.Sub(f.began)
	if since >= f.nextPing {
		f.nextPing = max(f.nextPing+pingEach, since)
		f.pinged++
		f.relay(f.from, f.to, pingWord, uint64(time.Now().UnixNano()), pingSize)
	}
	due := int(since.Seconds() * f.Rate)
	f.sent = max(f.sent, due-int(f.Rate/100))
	for ; f.sent < due; f.sent++ {
		f.relay(f.from, f.to, bulkWord, 0, f.Size)
	}
}

// relay sends a packet from one edge of a worker to another one.
func (f *single) relay(from, to *edge, word uint32, stamp uint64, size int) {
	packet := make([]byte, size)
	binary.BigEndian.PutUint32(packet, word)
	binary.BigEndian.PutUint64(packet[8:], stamp)
	pkt, err := from.guest.Relay(to.granted.handle, protocol.Flags(0), packet)
	f.worker.send(from, pkt, err)
}

// arrived counts a packet, and answers a ping.
func (f *single) arrived(e *edge, at time.Time, packet []byte) {
	if len(packet) < pingSize {
		return
	}
	stamp := binary.BigEndian.Uint64(packet[8:])
	switch binary.BigEndian.Uint32(packet) {
	case bulkWord:
		f.got++
	case pingWord:
		f.relay(e, f.from, pongWord, stamp, pingSize)
	case pongWord:
		f.pings = append(f.pings, at.Sub(time.Unix(0, int64(stamp))))
	}
}

// greedy is the traffic of the other pairs. Its worker does nothing else meanwhile: what
// comes for these edges is not read.
type greedy struct {
	Contest
	worker   *worker
	pairs    []pair
	began    time.Time
	sent     int
	messages []ipv4.Message
	err      error
}

// politer is how much lower the priority of the thread is that sends for greedy pairs, so
// that it does not keep those that measure from running.
const politer = 5

// start has the worker send. Its thread keeps its lower priority: to raise it takes a right.
func (f *greedy) start(began time.Time) {
	f.began = began
	to := net.UDPAddrFromAddrPort(f.worker.swarm.cfg.Supernode)
	for range sendBatch {
		f.messages = append(f.messages, ipv4.Message{Buffers: [][]byte{make([]byte, protocol.MaxDatagram)}, Addr: to})
	}
	if len(f.pairs) == 0 {
		return
	}
	f.worker.Do(func() {
		runtime.LockOSThread()
		usual, err := unix.SchedGetAttr(0, 0)
		if f.err = err; err == nil {
			usual.Nice = min(usual.Nice+politer, 19)
			f.err = unix.SchedSetAttr(0, usual, 0)
		}
		f.worker.flow, f.worker.eager = f, true
	})
}

// end ends what start began.
func (f *greedy) end() {
	done := make(chan struct{})
	f.worker.Do(func() {
		defer close(done)
		if f.worker.eager {
			f.worker.flow, f.worker.eager = nil, false
		}
	})
	<-done
}

// send sends a batch, each packet of another pair than the one before.
func (f *greedy) send(now time.Time) {
	due := min(int(now.Sub(f.began).Seconds()*f.GreedyRate)-f.sent, sendBatch)
	if due <= 0 {
		time.Sleep(100 * time.Microsecond)
		return
	}
	packet := make([]byte, f.Size)
	for i := range f.messages[:due] {
		p, m := f.pairs[(f.sent+i)%len(f.pairs)], &f.messages[i]
		pkt, err := p.from.guest.Relay(p.to.granted.handle, protocol.Flags(0), packet)
		if err != nil {
			f.err = err
			return
		}
		m.Buffers[0] = append(m.Buffers[0][:0], pkt...) // the next one is made in the same memory
		m.OOB = p.from.source
	}
	n, err := ipv4.NewPacketConn(f.worker.conn).WriteBatch(f.messages[:due], 0)
	if f.sent += n; err != nil {
		f.err = err
	}
}

// arrived is of traffic.
func (f *greedy) arrived(*edge, time.Time, []byte) {}
