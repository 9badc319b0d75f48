package netwatch

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// network is a host's network that the test changes, and the watcher of it.
type network struct {
	events chan struct{}
	log    bytes.Buffer

	mu    sync.Mutex
	reads int
	state State
	fault error

	began   time.Time
	changes []time.Duration // when each was reported
	last    Change
}

// watch starts a watcher in the bubble and returns how to end it.
func (n *network) watch(t *testing.T) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	n.began = time.Now()
	w := watcher{
		read: func() (State, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.reads++
			return n.state, n.fault
		},
		events: n.events,
		changed: func(c Change) {
			n.changes = append(n.changes, time.Since(n.began))
			n.last = c
		},
		log: slog.New(slog.NewTextHandler(&n.log, nil)),
	}
	done := make(chan error)
	go func() { done <- w.run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

// become gives the host these addresses, or makes it refuse to tell.
func (n *network) become(fault error, addresses ...string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state, n.fault = State{Addresses: addrs(addresses...)}, fault
}

// pass lets time pass, and then what has become due happen.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// event says that something happened, as a listener does.
func (n *network) event() {
	select {
	case n.events <- struct{}{}:
	default:
	}
	synctest.Wait()
}

func (n *network) reported(t *testing.T, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(n.changes, want) {
		t.Errorf("reported at %v, want %v", n.changes, want)
	}
}

func TestDebounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{events: make(chan struct{}, 1)}
		defer n.watch(t)()

		// Three steps of one change are reported once, 250 ms after the last.
		for range 3 {
			n.event()
			pass(100 * time.Millisecond)
		}
		n.become(nil, "192.0.2.1")
		pass(10 * time.Second)
		n.reported(t, 450*time.Millisecond)
		if got := n.last.come(); !slices.Equal(got, addrs("192.0.2.1")) || n.reads != 2 {
			t.Errorf("new: %v after %d reads", got, n.reads)
		}
	})
}

// Events that never stop delay a report by a second, and no more.
func TestDebounceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{events: make(chan struct{}, 1)}
		n.become(nil, "192.0.2.1")
		defer n.watch(t)()
		for i := range 30 {
			if i == 5 {
				n.become(nil, "192.0.2.2")
			}
			n.event()
			pass(100 * time.Millisecond)
		}
		n.reported(t, time.Second)
		pass(time.Minute)
		if n.reads > 5 {
			t.Errorf("%d reads for 3 s of events", n.reads)
		}
	})
}

// What comes and goes between two looks, and what is not compared, is nothing.
func TestUnchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{events: make(chan struct{}, 1)}
		n.become(nil, "192.0.2.1")
		defer n.watch(t)()
		n.become(nil)
		n.event()
		pass(249 * time.Millisecond)
		n.become(nil, "192.0.2.1")
		pass(time.Minute)
		n.reported(t)
		if n.reads != 2 {
			t.Errorf("%d reads: with events there is no polling", n.reads)
		}
	})
}

func TestPolling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{}
		defer n.watch(t)()
		pass(6 * time.Second)
		n.become(nil, "192.0.2.1")
		pass(time.Minute)
		n.reported(t, 10*time.Second)
	})
}

// A listener that ends is followed by a look at once and by polling.
func TestListenerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{events: make(chan struct{}, 1)}
		defer n.watch(t)()
		n.become(nil, "192.0.2.1")
		close(n.events)
		pass(2 * time.Second)
		n.become(nil, "192.0.2.2")
		pass(10 * time.Second)
		n.reported(t, 250*time.Millisecond, 5250*time.Millisecond)
	})
}

// The system's refusal is said once and tried again.
func TestReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &network{events: make(chan struct{}, 1)}
		defer n.watch(t)()
		n.become(errors.New("no buffer"), "192.0.2.1")
		n.event()
		pass(11 * time.Second)
		n.become(nil, "192.0.2.1")
		pass(time.Minute)
		n.reported(t, 15250*time.Millisecond)
		if got := strings.Count(n.log.String(), "no buffer"); got != 1 {
			t.Errorf("said %d times: %s", got, n.log.String())
		}
		reads := n.reads
		pass(time.Minute)
		if n.reads != reads {
			t.Error("it goes on polling")
		}
	})
}

// Without a first look there is nothing to compare with.
func TestFirstReadFails(t *testing.T) {
	fault := errors.New("no netlink here")
	w := watcher{read: func() (State, error) { return State{}, fault }}
	if err := w.run(t.Context()); !errors.Is(err, fault) {
		t.Errorf("got %v", err)
	}
}
