package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"hedgerow/internal/waiter"
)

// Batch is what a socket must have to stand beside side ways: the connections of
// this package do, and the simulated ones of tests.
type Batch interface {
	ReadBatch(ds []Datagram) (n int, err error)
	WriteBatch(ds []Datagram) (n int, err error)
	LocalAddr() netip.AddrPort
	Close() error
}

// MuxWriter is a connection whose WriteBatch also takes side addresses. It reads
// from its socket only.
type MuxWriter struct {
	socket Batch
	sides  *Sides
}

// Writer returns a connection over a socket that writes to the socket and to the
// side ways. The socket is its own from now on.
func (s *Sides) Writer(socket Batch) *MuxWriter { return &MuxWriter{socket: socket, sides: s} }

// ReadBatch reads from the socket, as the socket's does.
func (m *MuxWriter) ReadBatch(ds []Datagram) (n int, err error) { return m.read(ds) }

// read reads from the socket. A datagram that claims a side address as its source
// is forged: it becomes an empty one from nowhere, which nobody answers.
func (m *MuxWriter) read(ds []Datagram) (n int, err error) {
	n, err = m.socket.ReadBatch(ds)
	for i := range ds[:n] {
		if IsSide(ds[i].Addr.Addr()) {
			ds[i].N, ds[i].Seg, ds[i].Addr = 0, 0, netip.AddrPort{}
		}
	}
	return n, err
}

// WriteBatch sends every entry of ds, those with a side address by their ways and
// the others, in runs, by the socket, in the order of the batch. It returns how
// many entries were sent whole, and reports refusals as the socket does:
// ErrNoSide is one, for a way that has ended. Given to a way is sent; what
// becomes of it there is the way's business, as it is the network's with a
// datagram. A TTL has no meaning on a way and is passed over.
func (m *MuxWriter) WriteBatch(ds []Datagram) (n int, err error) {
	if !m.sides.used.Load() {
		return m.socket.WriteBatch(ds)
	}
	start := 0 // of the run that is being looked at
	var refused *WriteError
	for i := range ds {
		if !IsSide(ds[i].Addr.Addr()) {
			continue
		}
		sent, more, err := m.writeRun(ds, start, i, refused)
		n, refused = n+sent, more
		if err != nil {
			return n, err
		}
		start = i + 1
		if err := m.sides.send(&ds[i]); err != nil {
			refused = refused.add(i, err)
		} else {
			n++
		}
	}
	if start == 0 {
		return m.socket.WriteBatch(ds)
	}
	sent, refused, err := m.writeRun(ds, start, len(ds), refused)
	if err == nil && refused != nil { // a nil *WriteError in an error would not be nil
		err = refused
	}
	return n + sent, err
}

// writeRun sends ds[from:to] by the socket and adds what was refused to that of
// the batch.
func (m *MuxWriter) writeRun(ds []Datagram, from, to int, refused *WriteError) (n int, all *WriteError, err error) {
	if from == to {
		return 0, refused, nil
	}
	n, err = m.socket.WriteBatch(ds[from:to])
	if err == nil {
		return n, refused, nil
	}
	var of *WriteError
	if !errors.As(err, &of) {
		return n, refused, err
	}
	refused = refused.add(from+of.Index, of.Err)
	for _, other := range of.Others {
		refused = refused.add(from+other.Index, other.Err)
	}
	return n, refused, nil
}

// LocalAddr returns the socket's.
func (m *MuxWriter) LocalAddr() netip.AddrPort { return m.socket.LocalAddr() }

// Counters returns what the socket has counted; of one that counts nothing, zero.
func (m *MuxWriter) Counters() Counters {
	if counting, ok := m.socket.(interface{ Counters() Counters }); ok {
		return counting.Counters()
	}
	return Counters{}
}

// SideCounters returns what the side ways have done.
func (m *MuxWriter) SideCounters() SideCounters { return m.sides.Counters() }

// Close closes the socket. The side ways are not its own.
func (m *MuxWriter) Close() error { return m.socket.Close() }

// MuxReader is a MuxWriter whose ReadBatch also returns what side ways deliver.
type MuxReader struct {
	MuxWriter

	closing atomic.Bool
	// life is held for reading by Wait, and for writing to close what it waits
	// for. waiting makes Wait one caller's at a time.
	life    sync.RWMutex
	waiting sync.Mutex
	waiter  waits
}

// waits is what package waiter makes.
type waits interface {
	Wait() error
	Stop()
	Close() error
}

// Reader returns a connection over a socket that reads from the socket and from
// the side ways, and writes to both. The socket is its own from now on. The
// socket must tell when it has something, by Fd (on Linux) or Ready, as those of
// this package do. keepProcessor is what Options.KeepProcessor is to a socket,
// which had better not have it then, for Wait of both.
//
// Sides have one reader: it panics for a second one. The error is the kernel's
// refusal of a descriptor to be woken by.
func (s *Sides) Reader(socket Batch, keepProcessor bool) (*MuxReader, error) {
	m := &MuxReader{MuxWriter: MuxWriter{socket: socket, sides: s}}
	event, w, err := wakeFor(socket, s.inbox.ready, keepProcessor)
	if err != nil {
		return nil, err
	}
	m.waiter = w
	s.inbox.open(event)
	return m, nil
}

// wakeByReady returns a waiter for a socket with a channel.
func wakeByReady(socket Batch, sides <-chan struct{}) (waits, error) {
	source, ok := socket.(interface{ Ready() <-chan struct{} })
	if !ok {
		return nil, fmt.Errorf("a %T says in no way that it has something to read: %w", socket, errors.ErrUnsupported)
	}
	return waiter.NewChannels(source.Ready(), sides), nil
}

// ReadBatch reads what has arrived into ds, by the side ways and then by the
// socket, and returns how many entries that were: 0 when nothing waits. It never
// blocks. The side ways get half of ds, so that neither source keeps the other
// out; with room for one entry they go first. An error is the socket's, and may
// come behind entries.
func (m *MuxReader) ReadBatch(ds []Datagram) (n int, err error) {
	if m.sides.inbox.waiting.Load() == 0 || len(ds) == 0 {
		return m.read(ds)
	}
	if m.closing.Load() {
		return 0, net.ErrClosed
	}
	n = m.sides.inbox.take(ds[:max(1, len(ds)/2)])
	if n == len(ds) {
		return n, nil
	}
	more, err := m.read(ds[n:])
	return n + more, err
}

// Wait blocks until ReadBatch may find something, of either source: nil. It may
// be woken for nothing. It returns net.ErrClosed after Close, also when it was
// blocked then. A loop that waits for other things besides uses SideFd or
// SideReady along with what the socket has for that.
func (m *MuxReader) Wait() error {
	m.life.RLock()
	defer m.life.RUnlock()
	if m.closing.Load() {
		return net.ErrClosed
	}
	m.waiting.Lock()
	defer m.waiting.Unlock()
	if m.sides.inbox.waiting.Load() > 0 {
		return nil
	}
	return m.waiter.Wait()
}

// SideReady returns a channel that holds a token when a side way has delivered
// something, for a waiter.Channels. It is closed by Close. Whoever takes the
// token reads until nothing is left.
func (m *MuxReader) SideReady() <-chan struct{} { return m.sides.inbox.ready }

// Close closes the socket and ends what side ways deliver; the ways themselves
// are not its own. A blocked Wait returns net.ErrClosed at once. Further calls
// return net.ErrClosed.
func (m *MuxReader) Close() error {
	if m.closing.Swap(true) {
		return net.ErrClosed
	}
	m.waiter.Stop()
	m.life.Lock()
	defer m.life.Unlock()
	return errors.Join(m.socket.Close(), m.sides.inbox.close(), m.waiter.Close())
}
