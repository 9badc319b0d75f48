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

// Batch is what Sides needs of a socket: the connections of this package have
// it, and the simulated ones of tests.
type Batch interface {
	ReadBatch(ds []Datagram) (n int, err error)
	WriteBatch(ds []Datagram) (n int, err error)
	LocalAddr() netip.AddrPort
	Close() error
}

// MuxWriter is a connection whose WriteBatch also accepts side addresses. It
// reads from its socket only. What is reached through a NAT64 (Sides.NAT64) is.
type MuxWriter struct {
	socket Batch
	sides  *Sides
}

// Writer returns a connection that writes to the socket and to the side
// transports. It owns the socket from now on.
func (s *Sides) Writer(socket Batch) *MuxWriter { return &MuxWriter{socket: socket, sides: s} }

// ReadBatch reads from the socket, as the socket's does.
func (m *MuxWriter) ReadBatch(ds []Datagram) (n int, err error) { return m.read(ds) }

// read reads from the socket; what comes through the NAT64 comes from IPv4 addresses. A
// datagram with a side address as its source is forged, and to one from port 0 nothing can
// be answered (RFC 768): either becomes an empty one from the zero address, which callers
// drop.
func (m *MuxWriter) read(ds []Datagram) (n int, err error) {
	n, err = m.socket.ReadBatch(ds)
	through := m.sides.nat64.use()
	for i := range ds[:n] {
		if through != nil {
			ds[i].Addr = through.inward(ds[i].Addr)
		}
		if from := ds[i].Addr; from.Port() == 0 || IsSide(from.Addr()) {
			ds[i].N, ds[i].Seg, ds[i].Addr = 0, 0, netip.AddrPort{}
		}
	}
	return n, err
}

// WriteBatch sends the entries of ds in their order: those with a side address
// by their side transports, the others, in runs, by the socket. It returns how
// many entries were sent whole, and reports refusals as the socket does;
// ErrNoSide is the one for a side transport that has ended. A packet counts as
// sent once the side transport has it, as a datagram does once the network has
// it. A TTL has no meaning there and is ignored.
func (m *MuxWriter) WriteBatch(ds []Datagram) (n int, err error) {
	if !m.sides.used.Load() {
		return m.sides.nat64.write(m.socket, ds)
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
		return m.sides.nat64.write(m.socket, ds)
	}
	sent, refused, err := m.writeRun(ds, start, len(ds), refused)
	if err == nil && refused != nil { // a nil *WriteError in an error would not be nil
		err = refused
	}
	return n + sent, err
}

// writeRun sends ds[from:to] by the socket and adds its refusals to those of the
// batch.
func (m *MuxWriter) writeRun(ds []Datagram, from, to int, refused *WriteError) (n int, all *WriteError, err error) {
	if from == to {
		return 0, refused, nil
	}
	n, err = m.sides.nat64.write(m.socket, ds[from:to])
	if err == nil {
		return n, refused, nil
	}
	var of *WriteError
	if !errors.As(err, &of) {
		return n, refused, err
	}
	for i, why := range of.All() {
		refused = refused.add(from+i, why)
	}
	return n, refused, nil
}

// LocalAddr returns the socket's.
func (m *MuxWriter) LocalAddr() netip.AddrPort { return m.socket.LocalAddr() }

// Counters returns the socket's counters, or zero if it has none.
func (m *MuxWriter) Counters() Counters {
	if counting, ok := m.socket.(interface{ Counters() Counters }); ok {
		return counting.Counters()
	}
	return Counters{}
}

// TellsTOS reports whether ReadBatch sets Datagram.TOS for what came by the socket.
func (m *MuxWriter) TellsTOS() bool { return TellsTOS(m.socket) }

// SideCounters returns the counters of the side transports.
func (m *MuxWriter) SideCounters() SideCounters { return m.sides.Counters() }

// Close closes the socket. It does not end the side transports.
func (m *MuxWriter) Close() error { return m.socket.Close() }

// MuxReader is a MuxWriter whose ReadBatch also returns what side transports
// deliver.
type MuxReader struct {
	MuxWriter

	closing atomic.Bool
	// life is held for reading by Wait, and for writing to close what Wait uses.
	// waiting lets one caller into Wait at a time.
	life    sync.RWMutex
	waiting sync.Mutex
	waiter  waits
}

// waits is a waiter.Files or a waiter.Channels.
type waits interface {
	Wait() error
	Stop()
	Close() error
}

// Reader returns a connection that reads from the socket and from the side
// transports, and writes to both. It owns the socket from now on. The socket
// must have Fd (on Linux) or Ready, as those of this package do. keepProcessor
// is Options.KeepProcessor for the Wait of both; the socket itself should then
// be without it.
//
// Sides have one reader: a second call panics. The error is the kernel's refusal
// of the descriptor that wakes the reader.
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
		return nil, fmt.Errorf("a %T has neither Fd nor Ready: %w", socket, errors.ErrUnsupported)
	}
	return waiter.NewChannels(source.Ready(), sides), nil
}

// ReadBatch reads from the side transports and then from the socket into ds, and
// returns how many entries it filled: 0 when there is nothing to read. It never
// blocks. The side transports get half of ds, so that neither source keeps the
// other out; with room for one entry they come first. An error is the socket's,
// and may come together with entries.
func (m *MuxReader) ReadBatch(ds []Datagram) (n int, err error) {
	if m.sides.inbox.waiting.Load() == 0 || len(ds) == 0 {
		return m.read(ds)
	}
	if m.closing.Load() {
		return 0, net.ErrClosed
	}
	n = m.sides.inbox.pop(ds[:max(1, len(ds)/2)])
	if n == len(ds) {
		return n, nil
	}
	more, err := m.read(ds[n:])
	return n + more, err
}

// Wait blocks until ReadBatch may find something from either source, and returns
// nil. It may return without cause. It returns net.ErrClosed after Close, also
// when it was blocked then. A loop with more sources uses SideFd or SideReady
// together with the socket's Fd or Ready.
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

// SideReady returns a channel that holds a token when a side transport has
// delivered something, for a waiter.Channels. Close closes it. Whoever receives
// the token has to read until nothing is left.
func (m *MuxReader) SideReady() <-chan struct{} { return m.sides.inbox.ready }

// Close closes the socket and drops what side transports have delivered; it does
// not end them. A blocked Wait returns net.ErrClosed at once. Further calls
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
