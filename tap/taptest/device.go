// Package taptest has an Ethernet device in memory, for tests that play the
// kernel's side themselves. It is a device and its only queue in one, and waits
// on channels only, so it works inside a testing/synctest bubble; make it inside
// the bubble that uses it.
package taptest

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"hedgerow/tap"
	"hedgerow/tap/offload"
)

// DefaultQueue is how many frames wait in each direction when Options.Queue is
// zero: as many as Linux queues on a TAP (txqueuelen 500), rounded up.
const DefaultQueue = 512

// Options of a device. The zero value is ready to use.
type Options struct {
	// Queue is how many frames wait in each direction, 0 for DefaultQueue. As in
	// a kernel, frames that find the queue full are dropped and counted.
	Queue int
	// Deliver, when set, is called by WriteBatch with every frame, which is
	// borrowed until it returns; the Delivered channel then stays empty.
	Deliver func(frame []byte)
	// Vnet makes it a device with vnet headers: it delivers the super-frames of
	// InjectSuper, and accepts frames that need offload as they are. Without it
	// the device computes checksums that are left to it, and drops super-frames.
	Vnet bool
	// DeliverSuper, when set, is called in place of Deliver with every frame that
	// has work left on it: a super-frame, or one without its checksum. Without
	// it, those are delivered like any other.
	DeliverSuper func(frame []byte, h offload.Header)
}

// injected is a frame that waits for ReadBatch.
type injected struct {
	frame []byte
	left  offload.Header
}

// Device is a TAP device without a kernel. Its methods are safe for concurrent
// use; frames keep their order.
type Device struct {
	options   Options
	inbound   chan injected // frames that the edge is to read
	free      chan []byte   // their buffers, for use again
	ready     chan struct{} // one token: look again
	delivered chan []byte
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
		options:   o,
		inbound:   make(chan injected, o.Queue),
		free:      make(chan []byte, o.Queue),
		ready:     make(chan struct{}, 1),
		delivered: make(chan []byte, o.Queue),
		closed:    make(chan struct{}),
	}
}

// Features returns all features with Options.Vnet, and none without.
func (d *Device) Features() tap.Features {
	if !d.options.Vnet {
		return 0
	}
	return tap.FeatureVnet | tap.FeatureCsum | tap.FeatureTSO | tap.FeatureUSO
}

// Inject hands the device a frame as the kernel would, for ReadBatch to return.
// The frame is copied. It never blocks, and reports false when the queue was
// full or the device closed and the frame was dropped.
func (d *Device) Inject(frame []byte) bool {
	return d.inject(frame, offload.Header{})
}

// InjectSuper is Inject for a frame that needs offload: a super-frame, or one
// without its checksum. It panics without Options.Vnet: a kernel would never
// deliver such a frame to such a device.
func (d *Device) InjectSuper(frame []byte, h offload.Header) bool {
	if !d.options.Vnet {
		panic("taptest: InjectSuper needs Options.Vnet")
	}
	return d.inject(frame, h)
}

func (d *Device) inject(frame []byte, h offload.Header) bool {
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
	case d.inbound <- injected{buf, h}:
		d.signal()
		return true
	default:
		d.dropped.Add(1)
		return false
	}
}

// Ready returns a channel that holds a token when ReadBatch may have something
// to return since it last returned nothing, be it tap.ErrClosed.
func (d *Device) Ready() <-chan struct{} { return d.ready }

// signal leaves a token unless one is there.
func (d *Device) signal() {
	select {
	case d.ready <- struct{}{}:
	default:
	}
}

// Delivered returns the channel of the frames that were written to the device.
// Each belongs to its receiver. It is never closed.
func (d *Device) Delivered() <-chan []byte { return d.delivered }

// ReadBatch reads up to len(fs) injected frames that are waiting, each at the Off
// that the caller set, and never blocks. A frame longer than the room is cut, as
// a kernel does. After Close it returns tap.ErrClosed.
func (d *Device) ReadBatch(fs []tap.Frame) (n int, err error) {
	if d.isClosed() {
		return 0, tap.ErrClosed
	}
	for n < len(fs) {
		select {
		case in := <-d.inbound:
			d.copyOut(&fs[n], in)
			n++
		default:
			return n, nil
		}
	}
	return n, nil
}

// copyOut copies a frame to the reader and keeps its buffer for the next one.
// With vnet headers it spoils the room that a kernel would put one into.
func (d *Device) copyOut(f *tap.Frame, in injected) {
	f.Len = copy(f.Buf[f.Off:], in.frame)
	f.Offload = in.left
	if d.options.Vnet {
		in.left.Put(f.Buf[f.Off-offload.HeaderLen:])
	}
	select {
	case d.free <- in.frame:
	default:
	}
}

// WriteBatch delivers every frame to Options.Deliver, Options.DeliverSuper or
// the Delivered channel. It never blocks on the channel: a frame that does not
// fit is dropped and counted. It returns how many frames were delivered; after
// Close it returns tap.ErrClosed.
func (d *Device) WriteBatch(fs []tap.Frame) (n int, err error) {
	for i := range fs {
		if d.isClosed() {
			return n, tap.ErrClosed
		}
		if d.prepare(&fs[i]) && d.hand(&fs[i]) {
			n++
		} else {
			d.dropped.Add(1)
		}
	}
	return n, nil
}

// prepare completes a frame as this kind of device would, and reports whether
// the device accepts it.
func (d *Device) prepare(f *tap.Frame) bool {
	switch {
	case d.options.Vnet:
		f.Offload.Put(f.Buf[f.Off-offload.HeaderLen:])
		return true
	case f.Offload.GSOType != offload.GSONone:
		return false
	case f.Offload.Flags&offload.FlagNeedsCsum != 0:
		if offload.Complete(f.Bytes(), f.Offload) != nil {
			return false
		}
	}
	f.Offload = offload.Header{}
	return true
}

// hand gives a frame to its receiver.
func (d *Device) hand(f *tap.Frame) bool {
	switch o := &d.options; {
	case o.DeliverSuper != nil && f.Offload != (offload.Header{}):
		o.DeliverSuper(f.Bytes(), f.Offload)
		return true
	case o.Deliver != nil:
		o.Deliver(f.Bytes())
		return true
	}
	select {
	case d.delivered <- append([]byte(nil), f.Bytes()...):
		return true
	default:
		return false
	}
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

// Dropped returns how many frames found a full queue in either direction, or
// were not accepted by the device.
func (d *Device) Dropped() uint64 { return d.dropped.Load() }

// Close makes ReadBatch return tap.ErrClosed, and leaves a token in Ready.
// Further calls do nothing.
func (d *Device) Close() error {
	d.closeOnce.Do(func() {
		close(d.closed)
		d.signal()
	})
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
