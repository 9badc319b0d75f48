package pmtu

import (
	"time"

	"hedgerow/internal/deadline"
)

// Discovery finds the largest IP packet that a path carries, and notices when
// the path stops to carry it.
//
// It says which sizes to send and is told which came back; the packets are its
// owner's, and so are all others that go over the path. It is driven by one
// goroutine: Poll after every other call, and at Deadline.
type Discovery struct {
	full   int           // bytes of the largest IP packet that is wanted
	size   int           // PLPMTU: bytes of the largest one that may be sent
	every  time.Duration // between packets that watch the size
	phase  phase
	paused bool
	next   time.Time // when the phase goes on; zero: at once
	base   base
	search search
	watch  watch
	out    []int
}

// phase is a state of RFC 8899, section 5.2. Disabled is a path that is not in
// use; it has no Discovery.
type phase uint8

const (
	phaseSearch   phase = iota // larger sizes are probed
	phaseComplete              // none is until the raise timer
	phaseBase                  // the size fell: which ones pass at all is asked in one round
	phaseError                 // not even the smallest passes
)

// RaiseTimer is the PMTU_RAISE_TIMER of RFC 8899, section 5.1: how long after a
// finished search larger sizes are probed again, since by then the path may carry
// more.
const RaiseTimer = 600 * time.Second

// The other constants of RFC 8899, section 5.1. Its PROBE_TIMER is the timeout given
// to Poll, which follows from the round trip, and its BASE_PLPMTU and
// MIN_PLPMTU are both Minimum.
const (
	maxProbes  = 3                // MAX_PROBES: lost in a row, then a size counts as one that does not pass
	errorRetry = 30 * time.Second // after a round in which nothing passed
	mostAsked  = 1 + len(fallbacks)
)

// New returns the discovery of a path that is to carry IP packets of
// full bytes, and may carry packets of size bytes until the contrary is seen.
// Both are at least Minimum. A packet of the present size is sent at the first
// Poll, and then again every so often.
func New(full, size int, every time.Duration) Discovery {
	return Discovery{full: full, size: size, every: every, out: make([]int, 0, mostAsked)}
}

// Size returns the bytes of the largest IP packet that may be sent now, 0 for
// the zero value.
func (d *Discovery) Size() int { return d.size }

// Failed reports whether the path was found to carry small packets only, less
// than 1280 bytes. It is asked again after 30 s.
func (d *Discovery) Failed() bool { return d.phase == phaseError }

// Poll returns the sizes in bytes of the IP packets to send now, at most 4; 0
// stands for a small one. The list is valid until the next Poll. timeout is how
// long to wait for an answer. While the path is not active nothing is sent and
// there is no Deadline: call Poll when it is again.
func (d *Discovery) Poll(now time.Time, timeout time.Duration, active bool) []int {
	d.out = d.out[:0]
	d.paused = !active
	switch {
	case d.size == 0:
	case d.paused:
		d.pause()
	default:
		watched := d.watches()
		d.pollWatch(now, timeout)
		d.pollPhase(now, timeout)
		if !watched { // a size was found meanwhile, and may be due to be watched
			d.pollWatch(now, timeout)
		}
	}
	return d.out
}

// Deadline returns when Poll has something to do next, the zero time for not
// before the path is active again.
func (d *Discovery) Deadline() time.Time {
	switch {
	case d.paused || d.size == 0:
		return time.Time{}
	case d.watches():
		return deadline.Earliest(d.next, d.watch.next)
	}
	return d.next
}

// Answered notes that a packet of the given size came back: one that Poll asked
// for, or any other of which it is known; 0 stands for a small one.
func (d *Discovery) Answered(now time.Time, size int) {
	if size == 0 {
		d.watch.small++
		return
	}
	if size >= d.size {
		d.watch = watch{next: now.Add(d.every)}
	}
	switch d.phase {
	case phaseBase, phaseError:
		d.base.best = max(d.base.best, size)
		if d.phase == phaseError || d.base.best >= d.full {
			d.phase, d.next = phaseBase, time.Time{}
		}
	default:
		d.passed(size)
	}
}

// Refused notes that the system refused to send a packet because it is too long
// for the first hop. While a larger size is being probed, that probe counts as the
// packet that was refused. If it was not, the probes, being larger, are refused
// as well, and then the present size is.
func (d *Discovery) Refused() {
	switch {
	case d.phase == phaseSearch && d.search.probe > 0:
		d.search.tries, d.next = maxProbes, time.Time{}
	case d.size > Minimum:
		d.fall()
	}
}

// ask adds a size to what the running Poll returns.
func (d *Discovery) ask(size int) { d.out = append(d.out, size) }

// pause forgets the outstanding packets, and keeps the results.
func (d *Discovery) pause() {
	d.watch = watch{}
	if d.phase == phaseComplete {
		return
	}
	d.next = time.Time{}
	d.base.round, d.search.probe = 0, 0
}

func (d *Discovery) pollPhase(now time.Time, timeout time.Duration) {
	if now.Before(d.next) {
		return
	}
	switch d.phase {
	case phaseSearch:
		d.pollSearch(now, timeout)
	case phaseComplete:
		d.phase, d.search = phaseSearch, search{}
		d.pollSearch(now, timeout)
	case phaseError:
		d.phase, d.base = phaseBase, base{}
		d.pollBase(now, timeout)
	case phaseBase:
		d.pollBase(now, timeout)
	}
}
