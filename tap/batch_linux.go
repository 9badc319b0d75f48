package tap

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// linkDownPause is how long ReadBatch waits before it tries an interface again
// that answers EIO: the kernel does not wake anybody when the link comes up.
const linkDownPause = 100 * time.Millisecond

// batchReader reads frames until none is left. The descriptor is non-blocking
// and in the runtime's poller, so that one wake-up serves a whole batch and
// Close ends the wait. step is made once: a closure per call would allocate.
type batchReader struct {
	mu   sync.Mutex // one batch at a time; Close does not need it
	conn syscall.RawConn
	read func(fd int, p []byte) (int, error)
	step func(fd uintptr) bool

	fs  []Frame
	n   int
	err error
}

func (r *batchReader) init(conn syscall.RawConn, read func(int, []byte) (int, error)) {
	r.conn, r.read, r.step = conn, read, r.drain
}

// run waits for the first frame and returns how many were read, and the error
// that ended it, of which there may be one beside frames.
func (r *batchReader) run(fs []Frame) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fs, r.n, r.err = fs, 0, nil
	waitErr := r.conn.Read(r.step)
	r.fs = nil // borrowed until return
	if r.err == nil {
		r.err = waitErr
	}
	return r.n, r.err
}

// drain reads until the batch is full or the device empty; false means "wait".
func (r *batchReader) drain(fd uintptr) bool {
	for r.n < len(r.fs) {
		f := &r.fs[r.n]
		n, err := r.read(int(fd), f.Buf[f.Off:])
		switch {
		case err == nil && n > 0:
			f.Len, f.Offload = n, Offload{}
			r.n++
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return r.n > 0
		case err == nil:
			r.err = unix.EIO // no frame is empty
			return true
		default:
			r.err = err
			return true
		}
	}
	return true
}

// ReadBatch blocks for at least one frame that the kernel sends out of the
// interface, and reads up to len(fs) that are waiting. While the link is down it
// waits for it to come up. It returns ErrClosed once the device is closed, also
// while it waits, and ErrDeleted once the interface is gone.
func (d *Device) ReadBatch(fs []Frame) (n int, err error) {
	if len(fs) == 0 {
		return 0, nil
	}
	for {
		n, err := d.reader.run(fs)
		switch {
		case n > 0:
			return n, nil // an error comes again with the next call
		case err == unix.EIO:
			if !d.pause() {
				return 0, ErrClosed
			}
		default:
			return 0, d.fault(err)
		}
	}
}

// pause waits for linkDownPause and reports false when the device was closed.
func (d *Device) pause() bool {
	timer := time.NewTimer(linkDownPause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-d.closed:
		return false
	}
}

// batchWriter writes the frames of a batch one behind the other.
type batchWriter struct {
	mu      sync.Mutex // one batch at a time; Close does not need it
	conn    syscall.RawConn
	write   func(fd int, p []byte) (int, error)
	step    func(fd uintptr) bool
	dropped *atomic.Uint64

	fs  []Frame // what is left of the batch
	n   int
	err error
}

func (w *batchWriter) init(conn syscall.RawConn, write func(int, []byte) (int, error), dropped *atomic.Uint64) {
	w.conn, w.write, w.dropped, w.step = conn, write, dropped, w.fill
}

func (w *batchWriter) run(fs []Frame) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fs, w.n, w.err = fs, 0, nil
	waitErr := w.conn.Write(w.step)
	w.fs = nil // borrowed until return
	if w.err == nil {
		w.err = waitErr
	}
	return w.n, w.err
}

// fill writes what is left; false means "wait for room".
func (w *batchWriter) fill(fd uintptr) bool {
	for len(w.fs) > 0 {
		_, err := w.write(int(fd), w.fs[0].Bytes())
		switch err {
		case nil:
			w.n++
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			return false
		// The link is down; no memory; shorter than a header or otherwise not
		// to the kernel's taste. The next frame may fare better.
		case unix.EIO, unix.ENOBUFS, unix.ENOMEM, unix.EINVAL, unix.EMSGSIZE:
			w.dropped.Add(1)
		default:
			w.err = err
			return true
		}
		w.fs = w.fs[1:]
	}
	return true
}

// WriteBatch hands the kernel every frame, as if it had arrived on the
// interface, and returns how many it took. A frame that the kernel refuses
// because the link is down, memory is short or the frame is malformed is dropped
// and counted in Dropped; that is no error. It returns ErrClosed once the device
// is closed and ErrDeleted once the interface is gone.
func (d *Device) WriteBatch(fs []Frame) (n int, err error) {
	if len(fs) == 0 {
		return 0, nil
	}
	n, err = d.writer.run(fs)
	if err != nil {
		return n, d.fault(err)
	}
	return n, nil
}

// fault turns what the kernel or the poller said into the errors of this
// package. On a deleted interface the poller reports that it cannot wait, and
// reads and writes fail with EBADFD or EFAULT, depending on when they came.
func (d *Device) fault(err error) error {
	if d.isClosed() {
		return ErrClosed
	}
	if errors.Is(err, unix.EBADFD) || !d.attached() {
		return fmt.Errorf("%s: %w", d.cfg.Name, ErrDeleted)
	}
	return fmt.Errorf("TAP device %s: %w", d.cfg.Name, err)
}

// attached asks the kernel whether the interface still exists.
func (d *Device) attached() bool {
	ok := false
	err := d.reader.conn.Control(func(fd uintptr) { ok = attached(int(fd)) })
	return err == nil && ok
}
