package adversary_test

import (
	"crypto/ed25519"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// used returns a clock that synctest does not replace.
func used(clock int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(clock, &ts); err != nil {
		panic("adversary: " + err.Error())
	}
	return time.Duration(ts.Nano())
}

// took returns how long something took in real time, or the processor time of this
// process meanwhile if that is less: on a busy machine the first says nothing, and
// with other tests beside it the second does not.
func took(f func()) time.Duration {
	wall, processor := used(unix.CLOCK_MONOTONIC), used(unix.CLOCK_PROCESS_CPUTIME_ID)
	f()
	return min(used(unix.CLOCK_MONOTONIC)-wall, used(unix.CLOCK_PROCESS_CPUTIME_ID)-processor)
}

// perMessage is the most processor time that one datagram may take, as the least of some
// tries: a millisecond, or on a slow machine as long as 20 checks of a signature.
var perMessage = max(time.Millisecond, 20*signatureCheck())

// tries is how often something is done again that took longer than it may, since the
// machine may be busy with something else.
const tries = 25

// signatureCheck returns what checking a signature costs here.
func signatureCheck() time.Duration {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	signed := ed25519.Sign(private, nil)
	least := time.Hour
	for range tries {
		least = min(least, took(func() { ed25519.Verify(public, nil, signed) }))
	}
	return least
}

// The most that a program may take.
const (
	answerWithin = 50 * time.Millisecond // until the control loop answers
	hungAfter    = 10 * time.Second      // processor time without progress
)

// A watchdog ends the process when it makes no progress: inside a bubble a loop that
// never ends would be waited for until the test binary is killed, without a word of
// what it was told last.
type watchdog struct {
	last  atomic.Pointer[string]
	since atomic.Int64 // processor time of the process
	ended chan struct{}
}

// newWatchdog has to be called outside of a bubble.
func newWatchdog(t *testing.T) *watchdog {
	w := &watchdog{ended: make(chan struct{})}
	w.note("the start")
	go func() {
		for {
			select {
			case <-w.ended:
				return
			case <-time.After(time.Second):
			}
			if spent := used(unix.CLOCK_PROCESS_CPUTIME_ID) - time.Duration(w.since.Load()); spent > hungAfter {
				fmt.Fprintf(os.Stderr, "%s: no progress for %v of processor time after %s\n", t.Name(), spent, *w.last.Load())
				panic("hung")
			}
		}
	}()
	t.Cleanup(func() { close(w.ended) })
	return w
}

// note says what comes next. A nil watchdog is none.
func (w *watchdog) note(what string) {
	if w == nil {
		return
	}
	w.last.Store(&what)
	w.since.Store(int64(used(unix.CLOCK_PROCESS_CPUTIME_ID)))
}
