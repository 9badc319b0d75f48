package tap

import (
	"slices"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// script answers reads and writes one by one: a positive number is a length,
// anything else an errno.
type script struct {
	answers []any
	waits   int
}

func (s *script) next(_ int, p []byte) (int, error) {
	if len(s.answers) == 0 {
		return 0, unix.EAGAIN
	}
	a := s.answers[0]
	s.answers = s.answers[1:]
	if errno, ok := a.(syscall.Errno); ok {
		return -1, errno
	}
	return a.(int), nil
}

// Read, Write and Control are syscall.RawConn's, with a poller that is always
// ready.
func (s *script) Read(f func(uintptr) bool) error {
	for !f(3) {
		s.waits++
		if s.waits > 10 {
			return unix.ETIMEDOUT
		}
	}
	return nil
}
func (s *script) Write(f func(uintptr) bool) error { return s.Read(f) }
func (s *script) Control(f func(uintptr)) error    { return unix.EBADF }

func scripted(answers ...any) (*Device, *script) {
	s := &script{answers: answers}
	d := &Device{cfg: Config{Name: "edge0"}, closed: make(chan struct{})}
	d.reader.init(s, s.next)
	d.writer.init(s, s.next, &d.dropped)
	return d, s
}

func TestReadBatchSteps(t *testing.T) {
	tests := []struct {
		name    string
		answers []any
		want    []int // lengths
		waits   int
		pause   time.Duration
	}{
		{"one", []any{60}, []int{60}, 0, 0},
		{"all that wait", []any{60, 61, 62, unix.EAGAIN, 63}, []int{60, 61, 62}, 0, 0},
		{"no more than the batch holds", []any{1, 2, 3, 4, 5}, []int{1, 2, 3, 4}, 0, 0},
		{"waits for the first", []any{unix.EAGAIN, unix.EAGAIN, 60}, []int{60}, 2, 0},
		{"interrupted", []any{unix.EINTR, 60, unix.EINTR, 61}, []int{60, 61}, 0, 0},
		{"link down", []any{unix.EIO, unix.EIO, 60}, []int{60}, 0, 2 * linkDownPause},
		{"link down behind a frame", []any{60, unix.EIO, 61}, []int{60}, 0, 0},
		{"empty frame", []any{0, 60}, []int{60}, 0, linkDownPause},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			d, s := scripted(tt.answers...)
			fs := newFrames(4)
			start := time.Now()
			n, err := d.ReadBatch(fs)
			if err != nil {
				t.Fatalf("%s: %v", tt.name, err)
			}
			var got []int
			for _, f := range fs[:n] {
				got = append(got, f.Len)
			}
			if !slices.Equal(got, tt.want) || s.waits != tt.waits || time.Since(start) != tt.pause {
				t.Errorf("%s: lengths %v, %d waits, %v; want %v, %d, %v", tt.name, got, s.waits, time.Since(start), tt.want, tt.waits, tt.pause)
			}
		})
	}
}

func TestCloseEndsThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, _ := scripted(unix.EIO, unix.EIO)
		start := time.Now()
		time.AfterFunc(linkDownPause/2, func() { close(d.closed) })
		if _, err := d.ReadBatch(newFrames(1)); err != ErrClosed || time.Since(start) != linkDownPause/2 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestWriteBatchSteps(t *testing.T) {
	tests := []struct {
		name    string
		answers []any
		n       int
		dropped uint64
		waits   int
		fails   bool
	}{
		{"all", []any{60, 60, 60}, 3, 0, 0, false},
		{"no room for a while", []any{60, unix.EAGAIN, 60, unix.EAGAIN, 60}, 3, 0, 2, false},
		{"interrupted", []any{unix.EINTR, 60, 60, 60}, 3, 0, 0, false},
		{"link down", []any{unix.EIO, unix.EIO, unix.EIO}, 0, 3, 0, false},
		{"no memory for one", []any{60, unix.ENOBUFS, 60}, 2, 1, 0, false},
		{"malformed", []any{unix.EINVAL, 60, 60}, 2, 1, 0, false},
		{"deleted", []any{60, unix.EBADFD, 60}, 1, 0, 0, true},
	}
	for _, tt := range tests {
		d, s := scripted(tt.answers...)
		n, err := d.WriteBatch(newFrames(3))
		if n != tt.n || d.Dropped() != tt.dropped || s.waits != tt.waits || (err != nil) != tt.fails {
			t.Errorf("%s: n %d, dropped %d, waits %d, err %v", tt.name, n, d.Dropped(), s.waits, err)
		}
	}
}

func TestEmptyBatch(t *testing.T) {
	d, _ := scripted()
	if n, err := d.ReadBatch(nil); n != 0 || err != nil {
		t.Errorf("read %d, %v", n, err)
	}
	if n, err := d.WriteBatch(nil); n != 0 || err != nil {
		t.Errorf("write %d, %v", n, err)
	}
}
