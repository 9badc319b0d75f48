package tap

import (
	"fmt"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"hedgerow/tap/offload"
)

// writePatience is how long one WriteBatch waits altogether for room in the
// kernel. A TAP refuses a frame for lack of room only when memory is short, so a
// frame that cannot be written then is as lost as on a full line.
const writePatience = 5 * time.Millisecond

// Queue is one queue of a device: a descriptor from which frames are read and to
// which they are written. Its methods are safe for concurrent use; frames keep
// their order as long as one goroutine reads and one writes.
type Queue struct {
	device   *Device
	vnet     int // bytes of vnet header in front of a frame: offload.HeaderLen or 0
	oneFrame bool

	// mu is held for reading during a batch, so that Close waits for the batch
	// and its descriptor's number is not reused by another file meanwhile.
	mu sync.RWMutex
	fd int // -1 once closed

	read  func(fd int, p []byte) (int, syscall.Errno)
	write func(fd int, p []byte) (int, syscall.Errno)
	await func(fd int, d time.Duration) bool // waits for room; false when there was none
	tally
}

// newQueue makes a queue of a device, whose features are set, on a non-blocking
// descriptor.
func newQueue(d *Device, fd int) *Queue {
	q := &Queue{device: d, oneFrame: d.cfg.OneFrame, fd: fd, read: rawRead, write: rawWrite, await: awaitRoom}
	if d.features.Has(FeatureVnet) {
		q.vnet = offload.HeaderLen
	}
	return q
}

// Fd returns the descriptor to wait for with poll(2): it is readable when
// ReadBatch has something to return, be it ErrDeleted. While the interface is
// down it is not. The caller must not read, write or close it. It is -1 after
// Close.
func (q *Queue) Fd() int {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.fd
}

// Counters returns the queue's counters.
func (q *Queue) Counters() Counters { return q.snapshot() }

// retire makes later batches fail and returns the descriptor, which no batch
// uses any more.
func (q *Queue) retire() (fd int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	fd, q.fd = q.fd, -1
	return fd
}

// ReadBatch reads up to len(fs) waiting frames that the kernel sends out of the
// interface; it never blocks. It returns 0 and nil when none waits, as while the
// interface is down. It returns ErrClosed once the device is closed and
// ErrDeleted once the interface was deleted; an error after frames comes with
// the next call.
func (q *Queue) ReadBatch(fs []Frame) (n int, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.fd < 0 {
		return 0, ErrClosed
	}
	if q.oneFrame && len(fs) > 1 {
		fs = fs[:1]
	}
	calls, super := 0, 0
	var errno syscall.Errno
	for n < len(fs) && errno == 0 {
		var got int
		f := &fs[n]
		got, errno = q.read(q.fd, f.Buf[f.Off-q.vnet:])
		calls++
		if errno == unix.EINTR {
			errno = 0
			continue
		}
		if errno != 0 {
			break
		}
		if got <= q.vnet {
			errno = unix.EINVAL // no frame is empty
			break
		}
		f.Len, f.Offload = got-q.vnet, offload.Header{}
		if q.vnet > 0 {
			f.Offload = headerOf(f.Buf[f.Off-q.vnet:])
			if f.isSuper() {
				super++
			}
		}
		n++
	}
	add(&q.reads, calls)
	add(&q.framesIn, n)
	add(&q.superIn, super)
	if errno == 0 || errno == unix.EAGAIN || n > 0 {
		return n, nil // an error comes again with the next call
	}
	return 0, q.readFault(errno)
}

// headerOf reads the offload of a frame from its vnet header. It clears the flag
// that the kernel has verified the checksum (VIRTIO_NET_HDR_F_DATA_VALID): such
// a frame is as complete as one without.
func headerOf(b []byte) offload.Header {
	h := offload.Parse(b)
	h.Flags &= offload.FlagNeedsCsum
	return h
}

// readFault converts an errno of a read to the errors of this package. EINVAL is
// one frame that the kernel could not describe, which is lost; EIO is an
// interface that is being deleted (Linux before 3.8) and comes again with the
// next read.
func (q *Queue) readFault(errno syscall.Errno) error {
	if q.isAttached() {
		switch errno {
		case unix.EINVAL:
			q.dropped.Add(1)
			return nil
		case unix.EIO:
			return nil
		}
	}
	return q.fault(errno)
}

// WriteBatch gives the kernel every frame, as if it had arrived on the
// interface, and returns how many it accepted. A frame that the kernel refuses
// because the interface is down, memory is short or the frame is malformed is
// dropped and counted in Dropped; that is no error. So is a super-frame for a
// device without vnet headers. It never blocks, but for a few milliseconds when
// the kernel is out of memory. It returns ErrClosed once the device is closed
// and ErrDeleted once the interface was deleted.
func (q *Queue) WriteBatch(fs []Frame) (n int, err error) {
	q.mu.RLock()
	defer q.mu.RUnlock()
	if q.fd < 0 {
		return 0, ErrClosed
	}
	w := writer{Queue: q, patience: writePatience}
	super, dropped := 0, 0
	var errno syscall.Errno
	for i := range fs {
		f := &fs[i]
		if q.vnet > 0 {
			f.Offload.Put(f.Buf[f.Off-q.vnet:])
		} else if !f.makePlain() {
			dropped++
			continue
		}
		errno = w.put(f.Buf[f.Off-q.vnet : f.Off+f.Len])
		if refusesFrame(errno) {
			dropped++
			errno = 0
			continue
		}
		if errno != 0 {
			break
		}
		n++
		if f.isSuper() {
			super++
		}
	}
	add(&q.writes, w.calls)
	add(&q.framesOut, n)
	add(&q.superOut, super)
	add(&q.dropped, dropped)
	if errno != 0 {
		return n, q.fault(errno)
	}
	return n, nil
}

// refusesFrame reports whether the kernel refused one frame only and may accept
// the next: the interface is down; no memory; a frame shorter than a header or
// otherwise malformed.
func refusesFrame(errno syscall.Errno) bool {
	switch errno {
	case unix.EIO, unix.EAGAIN, unix.ENOBUFS, unix.ENOMEM, unix.EINVAL, unix.EMSGSIZE:
		return true
	}
	return false
}

// writer is a batch that is being written.
type writer struct {
	*Queue
	calls    int
	patience time.Duration // what is left of it
}

// put writes one frame with its header. EAGAIN means that there was no room
// within the patience of the batch.
func (w *writer) put(p []byte) syscall.Errno {
	for {
		_, errno := w.write(w.fd, p)
		w.calls++
		switch errno {
		case unix.EINTR:
		case unix.EAGAIN:
			if w.patience <= 0 {
				return errno
			}
			start := time.Now()
			if !w.await(w.fd, w.patience) {
				w.patience = 0
				return errno
			}
			// Count at least a little: poll may find room that the write then
			// does not, which must not become a loop.
			w.patience -= max(time.Since(start), time.Millisecond)
		default:
			return errno
		}
	}
}

// fault converts an errno to the errors of this package. On a deleted interface
// reads and writes fail with EBADFD.
func (q *Queue) fault(errno syscall.Errno) error {
	name := q.device.cfg.Name
	if errno == unix.EBADFD || !q.isAttached() {
		return fmt.Errorf("%s: %w", name, ErrDeleted)
	}
	return fmt.Errorf("TAP device %s: %w", name, errno)
}

// isAttached asks the kernel whether the interface still exists.
func (q *Queue) isAttached() bool { return attached(q.fd) }

// rawRead is read(2) without telling the scheduler, which is right for a call
// that does not block and spares a hand-off of the processor.
func rawRead(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// rawWrite is write(2), as rawRead is read(2).
func rawWrite(fd int, p []byte) (int, syscall.Errno) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	return int(n), errno
}

// awaitRoom waits until a descriptor can be written to, at most for d.
func awaitRoom(fd int, d time.Duration) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds[:], int((d+time.Millisecond-1)/time.Millisecond))
	return err == unix.EINTR || n > 0 // after an interrupt the caller tries again
}
