package transport

import (
	"net"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// readable polls a descriptor without waiting.
func readable(t *testing.T, fd int) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

// TestSideFd has the descriptor readable exactly while something waits.
func TestSideFd(t *testing.T) {
	s := NewSides()
	from := s.Add(func([]byte) {})
	s.Deliver(from, []byte("before there was a reader"))
	m := muxReader(t, s, listen(t, Options{}))
	for i, step := range []struct {
		deliver, room int
		want          bool
	}{
		{0, 0, true}, {0, 2, false}, {3, 0, true}, {0, 1, true}, {0, 4, false}, {1, 0, true}, {1, 1, true}, {0, 1, false},
	} {
		for range step.deliver {
			s.Deliver(from, []byte("x"))
		}
		if step.room > 0 {
			if _, err := m.ReadBatch(buffers(step.room)); err != nil {
				t.Fatal(err)
			}
		}
		if got := readable(t, m.SideFd()); got != step.want {
			t.Errorf("step %d: readable %v", i, got)
		}
	}
	if err := m.Close(); err != nil {
		t.Error(err)
	}
	if m.SideFd() != -1 {
		t.Error("a descriptor after Close")
	}
	if fd := muxReader(t, NewSides(), newMemory()).SideFd(); fd != -1 {
		t.Errorf("descriptor %d over a socket that has none", fd)
	}
}

// TestWaitOfBoth has each source, and Close, wake a reader that is in ppoll.
func TestWaitOfBoth(t *testing.T) {
	procs := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(procs)
	for _, keep := range []bool{false, true} {
		s := NewSides()
		u := listen(t, Options{})
		m, err := s.Reader(u, keep)
		if err != nil {
			t.Fatal(err)
		}
		from := s.Add(func([]byte) {})
		self := at(t, u, "127.0.0.1")
		for i, wake := range []func(){
			func() { s.Deliver(from, []byte("w")) },
			func() { _, _ = m.WriteBatch([]Datagram{datagram(self, "s")}) },
		} {
			done := make(chan error, 1)
			go func() { done <- m.Wait() }()
			time.AfterFunc(time.Millisecond, wake)
			if err := awaitWait(t, done); err != nil {
				t.Errorf("%d: %v", i, err)
			}
			if n, err := m.ReadBatch(buffers(2)); n != 1 || err != nil {
				t.Errorf("%d: %d, %v", i, n, err)
			}
		}
		done := make(chan error, 1)
		go func() { done <- m.Wait() }()
		time.AfterFunc(time.Millisecond, func() { _ = m.Close() })
		if err := awaitWait(t, done); err != net.ErrClosed {
			t.Error(err)
		}
	}
	if got := runtime.GOMAXPROCS(0); got != procs+1 {
		t.Errorf("%d processors, had %d", got, procs)
	}
}

func awaitWait(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("Wait did not return")
		return nil
	}
}

// BenchmarkMux is BenchmarkUDPv4x32 through a reader with one side transport that is quiet.
func BenchmarkMux(b *testing.B) {
	s := NewSides()
	s.Add(func([]byte) {})
	receiver := listen(b, Options{})
	m := muxReader(b, s, receiver)
	out := make([]Datagram, 32)
	for i := range out {
		out[i] = Datagram{Buf: make([]byte, 1400), N: 1400, Addr: at(b, receiver, "127.0.0.1")}
	}
	writer := s.Writer(listen(b, Options{}))
	in := buffers(len(out))
	b.SetBytes(32 * 1400)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := writer.WriteBatch(out); err != nil {
			b.Fatal(err)
		}
		for left := 32 * 1400; left > 0; {
			n, err := m.ReadBatch(in)
			if err != nil {
				b.Fatal(err)
			}
			for i := range in[:n] {
				left -= in[i].N
			}
		}
	}
}
