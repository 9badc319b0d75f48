package waiter

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// rest is how a Files sleeps for long: its goroutine is parked in the poller of Go's
// runtime, and the thread that waits there for everything wakes it. After a sleep in a
// system call the runtime's monitor thread looks again and again whether the goroutine
// still needs its processor, the longer the sooner after it the next one begins: a
// datagram that comes alone cost 35 wake-ups of threads with KeepProcessor, and 8 without;
// it costs 4 (TestFilesRest).
//
// The descriptors are in an epoll instance, and that is in the runtime's poller. They are
// armed there for the time of the sleep alone: while traffic flows, nothing of it is told
// to the poller.
type rest struct {
	set   int      // of the descriptors
	file  *os.File // set, in the runtime's poller
	conn  syscall.RawConn
	ready func(set uintptr) bool // of files
	files *Files
	found int   // how many descriptors ready found, of the last look
	fault error // that it met
}

// newRest returns the long sleep of a Files, nil where the poller does not take one of its
// descriptors.
func newRest(f *Files) *rest {
	set, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil
	}
	r := &rest{set: set, files: f}
	r.ready = func(uintptr) bool { return r.look() }
	err = unix.SetNonblock(set, true) // os.NewFile gives the poller nothing else
	for _, p := range f.polled {
		err = errors.Join(err, unix.EpollCtl(set, unix.EPOLL_CTL_ADD, int(p.Fd), &unix.EpollEvent{Fd: p.Fd}))
	}
	if err != nil {
		_ = unix.Close(set)
		return nil
	}
	r.file = os.NewFile(uintptr(set), "waiter")
	if r.conn, err = r.file.SyscallConn(); err != nil || !pollable(r.file) {
		_ = r.file.Close()
		return nil
	}
	return r
}

// sleep sleeps until one of the descriptors has something, and returns how many do, as
// ppoll(2) does. It does not allocate.
func (r *rest) sleep() (n int, err error) {
	r.arm(unix.EPOLLIN)
	err = r.conn.Read(r.ready)
	r.arm(0)
	return r.found, errors.Join(err, r.fault)
}

// look reports whether a descriptor has something, or cannot be waited for.
func (r *rest) look() bool {
	r.found, r.fault = r.files.ppoll(0)
	if r.fault == unix.EINTR {
		r.fault = nil
		return false
	}
	return r.found > 0 || r.fault != nil
}

// arm has the poller be told of events of the descriptors, and at once of those that have
// come already; without events of nothing but errors. It cannot fail for a descriptor that
// is open, and look finds one that is not.
func (r *rest) arm(events uint32) {
	for i := range r.files.polled {
		fd := r.files.polled[i].Fd
		_ = unix.EpollCtl(r.set, unix.EPOLL_CTL_MOD, int(fd), &unix.EpollEvent{Events: events, Fd: fd})
	}
}

// close closes the set. The descriptors stay open.
func (r *rest) close() error { return r.file.Close() }
