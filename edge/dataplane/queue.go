package dataplane

import (
	"errors"
	"net"
	"net/netip"

	"hedgerow/tap"
	"hedgerow/transport"
)

// FrameQueue is one queue of the TAP device. Frames are read at the offset that
// the caller set in each element, which leaves the headroom that the packet
// headers are written into; see tap.Frame for what a device does there.
type FrameQueue interface {
	// ReadBatch fills elements with the frames at hand and returns how many
	// there were. It does not block: 0 and nil mean that there are none.
	ReadBatch(frames []tap.Frame) (int, error)
	// WriteBatch hands frames to the host; it keeps none of them. It is safe
	// for concurrent use.
	WriteBatch(frames []tap.Frame) (int, error)
}

// Conn is an underlay socket. See package transport for its promises; ReadBatch
// does not block.
type Conn interface {
	ReadBatch(datagrams []transport.Datagram) (int, error)
	WriteBatch(datagrams []transport.Datagram) (int, error)
	LocalAddr() netip.AddrPort
	Close() error
}

// Waiter waits for a queue's device and socket; package waiter has two.
type Waiter interface {
	// Wait blocks until there may be something to read from either. It returns
	// net.ErrClosed once Stop was called.
	Wait() error
	// Stop ends Wait for good.
	Stop()
	// Sleeps returns how often Wait has slept so far, at any time.
	Sleeps() uint64
}

// Queue is a pair of a device queue and a socket that one goroutine serves.
type Queue struct {
	Frames FrameQueue
	Conn   Conn
	Waiter Waiter
}

// queue serves one Queue: it carries every frame and datagram to its end before
// it takes the next, in both directions, and sleeps when neither side has any.
type queue struct {
	out    *outbound
	in     *inbound
	waiter Waiter
}

func newQueue(d *Plane, q Queue, f tap.Features) *queue {
	return &queue{out: newOutbound(d, q.Frames, q.Conn), in: newInbound(d, q.Frames, q.Conn, f), waiter: q.Waiter}
}

// Serve serves a queue on the calling goroutine until its waiter is stopped, or
// the device or the socket fails. f is what the device takes.
func (d *Plane) Serve(q Queue, f tap.Features) error { return newQueue(d, q, f).run() }

// run serves the queue until its waiter is stopped, or the device or the socket
// fails. Each side has a burst in turn, so that neither waits long for the other;
// nothing is kept for later, so that no frame waits for a timer.
func (q *queue) run() error {
	for {
		n, err := q.burst()
		if err != nil {
			return unlessClosed(err)
		}
		if n > 0 {
			continue
		}
		if err := q.waiter.Wait(); err != nil {
			return unlessClosed(err)
		}
	}
}

// unlessClosed returns no error where a waiter was stopped, or another process has taken over.
func unlessClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// burst carries a burst of each side and returns of how many frames and trains. Nothing is
// carried while another process takes over, and net.ErrClosed says that it has.
func (q *queue) burst() (n int, err error) {
	gate := q.out.gates.Queue()
	if !gate.Enter() {
		return 0, net.ErrClosed
	}
	defer gate.Leave()
	sent, err := q.out.readTAP()
	if err != nil {
		return 0, err
	}
	got, err := q.in.readUDP()
	return sent + got, err
}
