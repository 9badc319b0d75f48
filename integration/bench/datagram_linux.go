package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// What stands in the beginning of every datagram: the run, the flow, and the
// number within the flow, each of 64 bits and little-endian.
const (
	atRun     = 0
	atFlow    = 8
	atNumber  = 16
	leastSize = 24
)

const (
	// socketBuffer is that of both sockets, in bytes. That of the sender holds
	// it up nowhere: what is too much is dropped where it is too much.
	socketBuffer = 8 << 20
	// quiet is how long nothing may arrive before the receiver believes that
	// nothing more comes, once the sender has ended.
	quiet = 100 * time.Millisecond
	// breath is how much the sender lets accumulate before it sends: it bounds
	// its system calls where 64 datagrams take long to become due.
	breath = 200 * time.Microsecond
)

// poured is what a sender of datagrams has done.
type poured struct {
	Sent    uint64 // refused ones included
	Refused uint64 // for which the kernel had no room at once
	Seconds float64
}

// writeDatagrams sends at a steady rate for a length of time, or a number of
// datagrams. Each system call sends for one flow, the next one for the next
// flow.
func writeDatagrams(t task, _ func()) (any, error) {
	runtime.LockOSThread()
	// Sleep as precisely as the machine can: the default is 50 microseconds
	// more. Failing that, pacing is coarser.
	_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
	var sockets []int
	for range max(t.Flows, 1) {
		fd, err := udpSocket(t.Addr, unix.SO_SNDBUFFORCE, unix.Connect)
		if err != nil {
			return nil, err
		}
		defer unix.Close(fd)
		sockets = append(sockets, fd)
	}
	b := newBatch(max(t.Size, leastSize))
	for _, body := range b.bodies {
		binary.LittleEndian.PutUint64(body[atRun:], t.Run)
	}
	var p poured
	numbers := make([]uint64, len(sockets))
	began := time.Now()
	pace := pacer{rate: t.Rate, next: began}
	for turn := 0; t.more(p.Sent, began); turn++ {
		count := pace.wait()
		flow := turn % len(sockets)
		for i := range count {
			binary.LittleEndian.PutUint64(b.bodies[i][atFlow:], uint64(flow))
			binary.LittleEndian.PutUint64(b.bodies[i][atNumber:], numbers[flow]+uint64(i))
		}
		n, err := b.send(sockets[flow], count)
		switch {
		case errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.EAGAIN):
			n = count
			p.Refused += uint64(count)
		case err != nil && !errors.Is(err, unix.EINTR):
			return nil, err
		}
		numbers[flow] += uint64(n)
		p.Sent += uint64(n)
	}
	p.Seconds = time.Since(began).Seconds()
	return p, nil
}

// more says whether a sender goes on.
func (t task) more(sent uint64, began time.Time) bool {
	if t.Count > 0 {
		return sent < t.Count
	}
	return time.Since(began) < t.Length
}

// pacer spreads datagrams evenly over time.
type pacer struct {
	rate     float64   // a second
	next     time.Time // when the next portion is due
	earliest time.Time // when it may be sent at all
}

const (
	// arrears is how far the sender may fall behind and make up for it later:
	// another process had its processor. It makes up at twice the rate at most,
	// so that the path never sees a burst that is none of its own making.
	arrears = 100 * time.Millisecond
	// nap is the shortest sleep that is worth its system call.
	nap = 15 * time.Microsecond
)

// wait sleeps until a few datagrams are due and returns how many.
func (p *pacer) wait() int {
	now := time.Now()
	count, due := p.plan(now)
	for due.Sub(now) > nap {
		rest := unix.NsecToTimespec(int64(due.Sub(now)))
		// An early end only means another turn.
		_ = unix.Nanosleep(&rest, nil)
		now = time.Now()
	}
	p.took(count, now)
	return count
}

// plan says how many datagrams are sent next, and when.
func (p *pacer) plan(now time.Time) (count int, due time.Time) {
	if late := now.Add(-arrears); p.next.Before(late) {
		p.next = late
	}
	due = p.next
	if due.Before(p.earliest) {
		due = p.earliest
	}
	return int(min(max(p.rate*breath.Seconds(), 1), batchSize)), due
}

// took notes that so many datagrams are sent now.
func (p *pacer) took(count int, now time.Time) {
	interval := time.Duration(float64(count) / p.rate * 1e9)
	p.next, p.earliest = p.next.Add(interval), now.Add(interval/2)
}

// udpSocket opens an IPv4 socket with a large buffer and binds or connects it.
func udpSocket(to netip.AddrPort, buffer int, join func(int, unix.Sockaddr) error) (fd int, err error) {
	fd, err = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, buffer, socketBuffer)
	if err == nil {
		err = join(fd, &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())})
	}
	if err != nil {
		unix.Close(fd)
		return 0, err
	}
	return fd, nil
}

// arrived is what a receiver of datagrams has seen.
type arrived struct {
	Received  uint64
	Missing   uint64 // below the highest number of each flow
	Reordered uint64 // after a higher number of their flow
	Seconds   float64
	GaveUp    bool // more are missing than allowed: it did not wait for the end
	Late      []late
}

// late is a datagram that arrived after a higher number of its flow.
type late struct {
	Flow, Number, After uint64
	Seconds             float64 // since the first arrival
}

// mostLate is how many of them are told.
const mostLate = 20

// readDatagrams counts the datagrams of a run until its standard input ends.
func readDatagrams(t task, ready func()) (any, error) {
	runtime.LockOSThread()
	fd, err := udpSocket(t.Addr, unix.SO_RCVBUFFORCE, unix.Bind)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	limit := unix.NsecToTimeval(int64(quiet))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return nil, err
	}
	var ended atomic.Bool
	go func() {
		// Whatever ends it: nobody will say more.
		_, _ = io.Copy(io.Discard, os.Stdin)
		ended.Store(true)
	}()
	ready()
	l := ledger{run: t.Run, next: make([]uint64, max(t.Flows, 1))}
	b := newBatch(max(t.Size, leastSize))
	for {
		n, err := b.receive(fd)
		switch {
		case errors.Is(err, unix.EAGAIN):
			if ended.Load() {
				return l.sum(false), nil
			}
			continue
		case err != nil && !errors.Is(err, unix.EINTR):
			return nil, err
		}
		l.enter(b, n)
		if t.Allow > 0 && l.missing() > t.Allow {
			return l.sum(true), nil
		}
	}
}

// ledger keeps the account of a receiver.
type ledger struct {
	run         uint64
	next        []uint64 // by flow: one more than the highest number
	received    uint64
	reordered   uint64
	late        []late
	first, last time.Time
}

// enter takes the datagrams of one call.
func (l *ledger) enter(b *batch, count int) {
	l.last = time.Now()
	if l.first.IsZero() {
		l.first = l.last
	}
	for i := range count {
		body := b.bodies[i]
		flow := binary.LittleEndian.Uint64(body[atFlow:])
		if b.messages[i].length < leastSize || binary.LittleEndian.Uint64(body[atRun:]) != l.run || flow >= uint64(len(l.next)) {
			continue // the rest of an earlier run
		}
		number := binary.LittleEndian.Uint64(body[atNumber:])
		if number < l.next[flow] {
			l.reordered++
			if len(l.late) < mostLate {
				l.late = append(l.late, late{flow, number, l.next[flow] - 1, l.last.Sub(l.first).Seconds()})
			}
		} else {
			l.next[flow] = number + 1
		}
		l.received++
	}
}

// missing is how many datagrams are overdue.
func (l *ledger) missing() (count uint64) {
	for _, next := range l.next {
		count += next
	}
	return count - min(count, l.received)
}

func (l *ledger) sum(gaveUp bool) arrived {
	return arrived{
		Received: l.received, Missing: l.missing(), Reordered: l.reordered,
		Seconds: l.last.Sub(l.first).Seconds(), GaveUp: gaveUp, Late: l.late,
	}
}
