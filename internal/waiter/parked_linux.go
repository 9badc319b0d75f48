package waiter

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Parked waits for one descriptor in the poller of Go's runtime: the goroutine is parked
// and holds no thread, as one in Files does. It is for the many that are mostly idle.
type Parked struct {
	file    *os.File // a duplicate of the descriptor
	conn    syscall.RawConn
	stopped atomic.Bool
	sleeps  atomic.Uint64
}

// NewParked returns a waiter for a descriptor that does not block. It has a duplicate of
// its own, which keeps what the descriptor stands for open until Close.
func NewParked(fd int) (*Parked, error) {
	own, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot duplicate a descriptor to wait for it: %w", err)
	}
	file := os.NewFile(uintptr(own), "waiter")
	conn, err := file.SyscallConn()
	if err == nil && !pollable(file) {
		err = os.ErrNoDeadline
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot wait for a descriptor: %w", err)
	}
	return &Parked{file: file, conn: conn}, nil
}

// pollable reports whether the poller of Go's runtime has taken a file.
func pollable(f *os.File) bool { return f.SetReadDeadline(time.Time{}) == nil }

// Wait blocks until the descriptor is readable, or has an error that a read will return,
// and returns nil. After Stop it returns net.ErrClosed.
func (p *Parked) Wait() error {
	if p.stopped.Load() {
		return net.ErrClosed
	}
	p.sleeps.Add(1)
	err := p.conn.Read(readable)
	if p.stopped.Load() || errors.Is(err, os.ErrClosed) {
		return net.ErrClosed
	}
	if err != nil {
		return fmt.Errorf("cannot wait for a descriptor: %w", err)
	}
	return nil
}

// readable reports whether there is something to read. The poller tells of what arrives
// after it was asked to, and so not of what is there already.
func readable(fd uintptr) bool {
	polled := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	n, err := unix.Poll(polled[:], 0)
	return n > 0 && err == nil
}

// Stop ends a Wait that runs and every one that comes. It may be called any number of
// times, from any goroutine, also after Close.
func (p *Parked) Stop() {
	p.stopped.Store(true)
	_ = p.file.SetReadDeadline(time.Unix(1, 0)) // fails after Close, when nobody waits
}

// Sleeps returns how often Wait was ready to sleep. That something was there already is
// counted too.
func (p *Parked) Sleeps() uint64 { return p.sleeps.Load() }

// Close stops the waiter and closes the duplicate.
func (p *Parked) Close() error {
	p.Stop()
	return p.file.Close()
}
