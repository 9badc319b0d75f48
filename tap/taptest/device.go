// Package taptest has an Ethernet device in memory, for tests that play the
// kernel's side themselves. It blocks on channels only, so it works inside a
// testing/synctest bubble; make it inside the bubble that uses it.
package taptest

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"hedgerow/tap"
)

// DefaultQueue is how many frames wait in each direction when Options.Queue is
// zero: as many as Linux queues on a TAP (txqueuelen 500), rounded up.
const DefaultQueue = 512

// Options of a device. The zero value is ready to use.
type Options struct {
	// Queue is how many frames wait in each direction, 0 for DefaultQueue. What
	// comes when the queue is full is dropped and counted, as a kernel does.
	Queue int
	// Deliver, when set, is called by WriteBatch with every frame, which is
	// borrowed until it returns; the Delivered channel then stays empty.
	Deliver func(frame []byte)
}

// Device is a TAP device without a kernel. Its methods are safe for concurrent
// use; frames keep their order.
type Device struct {
	inbound   chan []byte // frames that the edge is to read
	free      chan []byte // their buffers, for use again
	delivered chan []byte
	deliver   func([]byte)
	closed    chan struct{}
	closeOnce sync.Once
	dropped   atomic.Uint64

	mu        sync.Mutex // guards addresses
	addresses []netip.Prefix
}

// New returns an open device.
func New(o Options) *Device {
	if o.Queue <= 0 {
		o.Queue = DefaultQueue
	}
	return &Device{
		inbound:   make(chan []byte, o.Queue),
		free:      make(chan []byte, o.Queue),
		delivered: make(chan []byte, o.Queue),
		deliver:   o.Deliver,
		closed:    make(chan struct{}),
	}
}

// Inject hands the device a frame as the kernel would, for ReadBatch to return.
// The frame is copied. It never blocks, and reports false when the queue was
// full or the device closed and the frame was dropped.
func (d *Device) Inject(frame []byte) bool {
	if d.isClosed() {
		return false
	}
	var buf []byte
	select {
	case buf = <-d.free:
	default:
	}
	buf = append(buf[:0], frame...)
	select {
	case d.inbound <- buf:
		return true
	default:
		d.dropped.Add(1)
		return false
	}
}

// Delivered returns the channel of the frames that were written to the device.
// Each belongs to its receiver. It is never closed.
func (d *Device) Delivered() <-chan []byte { return d.delivered }

// ReadBatch blocks for at least one injected frame and reads up to len(fs) that
// are waiting, each at the Off that the caller set. A frame longer than the room
// is cut, as a kernel does. After Close it returns tap.ErrClosed.
func (d *Device) ReadBatch(fs []tap.Frame) (n int, err error) {
	if d.isClosed() {
		return 0, tap.ErrClosed
	}
	if len(fs) == 0 {
		return 0, nil
	}
	select {
	case buf := <-d.inbound:
		d.take(&fs[0], buf)
	case <-d.closed:
		return 0, tap.ErrClosed
	}
	for n = 1; n < len(fs); n++ {
		select {
		case buf := <-d.inbound:
			d.take(&fs[n], buf)
		default:
			return n, nil
		}
	}
	return n, nil
}

// take copies a frame to the reader and keeps its buffer for the next one.
func (d *Device) take(f *tap.Frame, buf []byte) {
	f.Len = copy(f.Buf[f.Off:], buf)
	f.Offload = tap.Offload{}
	select {
	case d.free <- buf:
	default:
	}
}

// WriteBatch delivers every frame to Options.Deliver or the Delivered channel
// and never blocks on the latter: what does not fit is dropped and counted. It
// returns how many were delivered; after Close it returns tap.ErrClosed.
func (d *Device) WriteBatch(fs []tap.Frame) (n int, err error) {
	for i := range fs {
		if d.isClosed() {
			return n, tap.ErrClosed
		}
		frame := fs[i].Bytes()
		if d.deliver != nil {
			d.deliver(frame)
			n++
			continue
		}
		select {
		case d.delivered <- append([]byte(nil), frame...):
			n++
		default:
			d.dropped.Add(1)
		}
	}
	return n, nil
}

// SetAddress records an address in place of the one of the same family that was
// recorded before.
func (d *Device) SetAddress(prefix netip.Prefix) error {
	if d.isClosed() {
		return tap.ErrClosed
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, old := range d.addresses {
		if old.Addr().Is4() == prefix.Addr().Is4() {
			d.addresses[i] = prefix
			return nil
		}
	}
	d.addresses = append(d.addresses, prefix)
	return nil
}

// RemoveAddress forgets an address; it is no error when it was not there.
func (d *Device) RemoveAddress(prefix netip.Prefix) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, old := range d.addresses {
		if old == prefix {
			d.addresses = append(d.addresses[:i:i], d.addresses[i+1:]...)
			return nil
		}
	}
	return nil
}

// Addresses returns the addresses set so far, at most one of each family.
func (d *Device) Addresses() []netip.Prefix {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]netip.Prefix(nil), d.addresses...)
}

// Dropped returns how many frames found a full queue in either direction.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// Close makes ReadBatch return tap.ErrClosed at once. Further calls do nothing.
func (d *Device) Close() error {
	d.closeOnce.Do(func() { close(d.closed) })
	return nil
}

func (d *Device) isClosed() bool {
	select {
	case <-d.closed:
		return true
	default:
		return false
	}
}
