package transport

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/sys/unix"
)

// A signal is an eventfd (eventfd(2)): readable while it is set. The zero value
// has no descriptor, and setting it does nothing. It has no lock of its own.
type signal struct {
	fd    int
	open  bool
	count [8]byte // the kernel's buffer; in the struct it costs no allocation
}

// newSignal returns a signal that is not set. The error is the kernel's refusal
// (EMFILE, ENFILE, ENOMEM).
func newSignal() (signal, error) {
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return signal{}, fmt.Errorf("cannot make an eventfd to be woken by: %w", err)
	}
	return signal{fd: fd, open: true}, nil
}

// set makes the descriptor readable.
func (s *signal) set() {
	if !s.open {
		return
	}
	binary.NativeEndian.PutUint64(s.count[:], 1)
	// EAGAIN would mean that it is set 2^64-2 times: readable all the same.
	_, _ = unix.Write(s.fd, s.count[:])
}

// clear ends that.
func (s *signal) clear() {
	if !s.open {
		return
	}
	_, _ = unix.Read(s.fd, s.count[:]) // EAGAIN: it was not set
}

// close closes the descriptor.
func (s *signal) close() error {
	if !s.open {
		return nil
	}
	s.open = false
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("cannot close the eventfd: %w", err)
	}
	return nil
}
