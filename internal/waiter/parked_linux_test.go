package waiter

import (
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func newParked(t *testing.T, fd int) *Parked {
	t.Helper()
	p, err := NewParked(fd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// Wait returns for what comes while it sleeps and for what was there before, as long as
// it is there.
func TestParkedWakes(t *testing.T) {
	r, w := pair(t)
	p := newParked(t, r)
	for round := range 3 {
		done := make(chan error, 1)
		go func() { done <- p.Wait() }()
		for deadline := time.Now().Add(10 * time.Second); p.Sleeps() == uint64(2*round); time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal("Wait did not begin")
			}
		}
		if _, err := unix.Write(w, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil { // nobody has read it yet
			t.Fatal(err)
		}
		if _, err := unix.Read(r, make([]byte, 8)); err != nil {
			t.Fatal(err)
		}
	}
}

// Stop ends a Wait that sleeps and all that come.
func TestParkedStops(t *testing.T) {
	r, _ := pair(t)
	p := newParked(t, r)
	done := make(chan error, 1)
	go func() { done <- p.Wait() }()
	for deadline := time.Now().Add(10 * time.Second); p.Sleeps() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Wait did not begin")
		}
	}
	p.Stop()
	if err := await(t, done); err != net.ErrClosed {
		t.Errorf("during Stop: %v", err)
	}
	if err := p.Wait(); err != net.ErrClosed {
		t.Errorf("after Stop: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	p.Stop()
	if err := p.Wait(); err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if _, err := NewParked(1 << 20); err == nil {
		t.Error("a descriptor that is not open is waited for")
	}
}

// Hundreds of sleepers take no thread each.
func TestParkedTakesNoThread(t *testing.T) {
	const sleepers = 200
	done := make(chan error, sleepers)
	list := make([]*Parked, sleepers)
	for i := range list {
		r, _ := pair(t)
		list[i] = newParked(t, r)
		go func() { done <- list[i].Wait() }()
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		asleep := 0
		for _, p := range list {
			if p.Sleeps() > 0 {
				asleep++
			}
		}
		if asleep == sleepers {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("they did not begin")
		}
	}
	if n, _ := runtime.ThreadCreateProfile(nil); n >= sleepers {
		t.Errorf("%d threads", n)
	}
	for _, p := range list {
		p.Stop()
	}
	for range list {
		if err := await(t, done); err != net.ErrClosed {
			t.Error(err)
		}
	}
}
