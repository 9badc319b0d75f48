package waiter

import (
	"errors"
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair makes a socket pair: what is written to one end makes the other readable.
func pair(t *testing.T) (reader, writer int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		unix.Close(fds[0])
		unix.Close(fds[1])
	})
	return fds[0], fds[1]
}

func newFiles(t *testing.T, fds ...int) *Files {
	t.Helper()
	f, err := NewFiles(fds...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// asleep returns once a Wait that was started is on its way into the kernel, or
// there.
func asleep(t *testing.T, f *Files, before uint64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); f.Sleeps() == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("Wait did not begin")
		}
	}
}

func await(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Wait did not return")
		return nil
	}
}

func TestFilesWake(t *testing.T) {
	r1, w1 := pair(t)
	r2, w2 := pair(t)
	f := newFiles(t, r1, r2)
	for i, ends := range [][2]int{{r1, w1}, {r2, w2}, {r1, w1}} {
		before := f.Sleeps()
		done := make(chan error, 1)
		go func() { done <- f.Wait() }()
		asleep(t, f, before)
		if _, err := unix.Write(ends[1], []byte("x")); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil {
			t.Errorf("%d: %v", i, err)
		}
		if n, err := unix.Read(ends[0], make([]byte, 8)); n != 1 || err != nil {
			t.Errorf("%d: read %d, %v", i, n, err)
		}
	}
	if f.Sleeps() != 3 {
		t.Errorf("%d sleeps", f.Sleeps())
	}
}

func TestFilesStop(t *testing.T) {
	r, w := pair(t)
	f := newFiles(t, r)
	done := make(chan error, 1)
	go func() { done <- f.Wait() }()
	asleep(t, f, 0)
	f.Stop()
	if err := await(t, done); err != net.ErrClosed {
		t.Errorf("during Wait: %v", err)
	}
	f.Stop()
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := f.Wait(); err != net.ErrClosed {
		t.Errorf("Stop goes before what waits: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	f.Stop()
	if err := f.Wait(); err != net.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if err := f.Close(); err != net.ErrClosed {
		t.Errorf("second Close: %v", err)
	}
}

// TestFilesStopRaces has Stop and Wait meet at all moments.
func TestFilesStopRaces(t *testing.T) {
	r, _ := pair(t)
	for range 200 {
		f := newFiles(t, r)
		done := make(chan error, 1)
		go func() { done <- f.Wait() }()
		go f.Stop()
		f.Stop()
		if err := await(t, done); err != net.ErrClosed {
			t.Fatal(err)
		}
		f.Close()
	}
}

func TestFilesClosedTooEarly(t *testing.T) {
	// A number that is no descriptor: a closed one could be taken again by
	// another goroutine of the test.
	f := newFiles(t, 1<<20)
	if err := f.Wait(); !errors.Is(err, net.ErrClosed) || err == net.ErrClosed {
		t.Errorf("%v", err)
	}
}

func TestFilesAllocateNothing(t *testing.T) {
	r, w := pair(t)
	if _, err := unix.Write(w, []byte("x")); err != nil {
		t.Fatal(err)
	}
	f := newFiles(t, r)
	n := testing.AllocsPerRun(100, func() {
		if err := f.Wait(); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestFilesKeepProcessor has a waiter that keeps its processor through short
// sleeps: it is woken in them and after them, and neither the collector nor Stop
// waits for it.
func TestFilesKeepProcessor(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	r, w := pair(t)
	f := newFiles(t, r)
	f.KeepProcessor()
	if got := runtime.GOMAXPROCS(0); got != procs+1 {
		t.Errorf("%d processors, had %d", got, procs)
	}
	done := make(chan error, 1)
	b := make([]byte, 1)
	for i, wait := range []time.Duration{0, KeepFor / 4, 3 * KeepFor} {
		before := f.Sleeps()
		f.quick = lively
		go func() { done <- f.Wait() }()
		asleep(t, f, before)
		runtime.GC() // stops the world, which the sleep must not delay
		time.Sleep(wait)
		if _, err := unix.Write(w, []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
		if err := await(t, done); err != nil {
			t.Fatal(err)
		}
		if n, err := unix.Read(r, b); n != 1 || err != nil || b[0] != byte(i) {
			t.Fatal(n, err, b)
		}
	}
	before := f.Sleeps()
	f.quick = lively
	go func() { done <- f.Wait() }()
	asleep(t, f, before)
	f.Stop()
	if err := await(t, done); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
}
