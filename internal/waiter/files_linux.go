package waiter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Files waits for file descriptors. Wait belongs to one goroutine at a time;
// Stop and Sleeps may be called from any.
type Files struct {
	// polled has the caller's descriptors and, last, the eventfd that Stop
	// makes readable for ever.
	polled  []unix.PollFd
	keep    bool          // see KeepProcessor
	quick   int           // how often in a row something came within KeepFor after what had come before
	woken   time.Time     // when something came last
	rest    *rest         // the long sleep; nil: it is a system call, too
	timeout unix.Timespec // of ppoll; the kernel writes to it
	stopped atomic.Bool
	sleeps  atomic.Uint64

	mu    sync.Mutex // held while event is written to or closed
	event int        // -1 after Close
}

// errInvalid is a descriptor that was closed too early: to go on would spin.
var errInvalid = fmt.Errorf("a descriptor was closed while it was waited for: %w", net.ErrClosed)

// NewFiles returns a waiter for the descriptors, which must stay open until Stop
// was called and Wait has returned. The error is the kernel's refusal of an
// eventfd (EMFILE, ENFILE, ENOMEM).
func NewFiles(fds ...int) (*Files, error) {
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make an eventfd to be woken by: %w", err)
	}
	f := &Files{polled: make([]unix.PollFd, 0, len(fds)+1), event: event}
	for _, fd := range append(fds, event) {
		f.polled = append(f.polled, unix.PollFd{Fd: int32(fd), Events: unix.POLLIN})
	}
	f.rest = newRest(f)
	return f, nil
}

// Wait blocks until one of the descriptors is readable, or has an error that a
// read will return, and returns nil. After Stop it returns net.ErrClosed, at
// once. An error that wraps net.ErrClosed says that a descriptor was closed too
// early; any other is one of ppoll(2) (ENOMEM). It does not allocate.
func (f *Files) Wait() error {
	interrupted := false
	for {
		if f.stopped.Load() {
			return net.ErrClosed
		}
		if !interrupted {
			f.sleeps.Add(1)
		}
		n, err := f.poll()
		if interrupted = errors.Is(err, unix.EINTR); interrupted || n == 0 && err == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot wait for descriptors: %w", err)
		}
		now := time.Now()
		if f.quick++; now.Sub(f.woken) >= KeepFor {
			f.quick = 0
		}
		f.woken = now
		last := len(f.polled) - 1
		if f.polled[last].Revents != 0 {
			return net.ErrClosed
		}
		for i := range f.polled[:last] {
			if f.polled[i].Revents&unix.POLLNVAL != 0 {
				return errInvalid
			}
		}
		return nil
	}
}

// KeepFor is for how long Wait sleeps in a system call before it takes the long way: longer
// than the pauses within a conversation, so short that an idle process does not notice.
const KeepFor = 20 * time.Millisecond

// KeepProcessor lets Wait keep the processor (P) that Go gave to its goroutine while it
// sleeps for up to KeepFor. A wake-up in that time costs only the kernel's time: Go neither
// hands the processor over and gets it back nor wakes its monitor thread, which looks at
// processors in system calls every 20 microseconds. The collector and the scheduler
// interrupt the sleep by their signal. So that other goroutines have as many
// processors as before, KeepProcessor raises GOMAXPROCS by one. It is to be
// called once, before the first Wait, for a waiter that lives as long as the
// process.
func (f *Files) KeepProcessor() {
	f.keep = true
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
}

// lively is how often in a row something has to come within KeepFor, so that more is to be
// expected. Keepalives and their answers are fewer.
const lively = 8

// poll sleeps until a descriptor has something: while traffic flows in a system call for
// KeepFor, then, and where it does not flow, as a parked goroutine. It returns 0 and
// no error when it had better be called again.
func (f *Files) poll() (n int, err error) {
	switch {
	case f.quick >= lively && f.keep:
		n, err = f.ppoll(KeepFor)
	case f.quick >= lively:
		timeout := unix.NsecToTimespec(int64(KeepFor))
		n, err = unix.Ppoll(f.polled, &timeout, nil)
	case f.rest == nil:
		return unix.Ppoll(f.polled, nil, nil)
	default:
		return f.rest.sleep()
	}
	if n == 0 && err == nil {
		f.quick = 0
	}
	return n, err
}

// ppoll is ppoll(2) for a time that Go's scheduler does not need to know of.
func (f *Files) ppoll(d time.Duration) (n int, err error) {
	f.timeout = unix.NsecToTimespec(int64(d))
	r, _, errno := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(f.polled))), uintptr(len(f.polled)),
		uintptr(unsafe.Pointer(&f.timeout)), 0, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(r), nil
}

// Stop ends a Wait that runs and every one that comes. It may be called any
// number of times, from any goroutine, also after Close.
func (f *Files) Stop() {
	f.stopped.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.event >= 0 {
		// EAGAIN would mean that 2^64-2 Stops went before: readable all the same.
		_, _ = unix.Write(f.event, binary.NativeEndian.AppendUint64(nil, 1))
	}
}

// Sleeps returns how many times Wait asked the kernel to sleep. That something
// had arrived meanwhile, so that the kernel returned at once, is counted too; that a
// signal came, and the sleep went on, is not.
func (f *Files) Sleeps() uint64 { return f.sleeps.Load() }

// Close closes the eventfd; the descriptors stay the caller's. It is for the
// time after Stop and after the last Wait has returned. Further calls return
// net.ErrClosed.
func (f *Files) Close() error {
	f.stopped.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.event < 0 {
		return net.ErrClosed
	}
	err := unix.Close(f.event)
	if f.rest != nil {
		err = errors.Join(err, f.rest.close())
	}
	f.event = -1
	if err != nil {
		return fmt.Errorf("cannot close the eventfd: %w", err)
	}
	return nil
}
